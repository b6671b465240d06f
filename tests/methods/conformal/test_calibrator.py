"""The calibration of a run: folds that share the work, one split alone, unknown kinds, a covariate shift, a kept file."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import softmax

from astro_lightning.core.calibration import Evidence, Fold, read_calibration, write_calibration
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.calibrator import Calibrator

CLASSES = ["a", "b"]
MEANS = np.array([[0.0, 0, 0], [2.5, 0, 0]])


def objects(rng, n, unknown=0, bias=0.0):
    """Two known classes and, behind them, an unknown one; the model of a fold is off by its bias."""
    y = rng.integers(0, 2, n)
    x = np.vstack([rng.normal(0, 1, (n, 3)) + MEANS[y], rng.normal(0, 0.5, (unknown, 3)) + np.array([1, 6, 0])])
    return x, np.append(y, np.full(unknown, -1)), bias


def evidence(x, y, bias):
    logits = -0.5 * np.stack([((x - m - bias) ** 2).sum(1) for m in MEANS], axis=1)
    return Evidence(softmax(logits, axis=1), logits, x, y)


def folded(rng, k=4, n=300):
    return [Fold(*(evidence(*objects(rng, m, bias=f / 20)) for m in (n, 80, n))) for f in range(k)]


def table(calibrator, found, y):
    columns = calibrator.columns(found)
    names = np.array([*CLASSES, "new"], dtype=object)[y]
    return calibrator.finish(pa.table({"id": np.arange(len(y)), **columns, "label": names}))


def test_folds_together_cover_flag_and_come_back_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    calibrator = Calibrator(classes=CLASSES)
    calibrator.fit(folded(rng))
    x, y, _ = objects(rng, 1000, unknown=150)
    found = {f: evidence(x, y, f / 20) for f in range(4)}
    scored = table(calibrator, found, y)
    metrics = calibrator.score(scored)
    assert metrics["coverage"] == pytest.approx(0.9, abs=0.03)
    assert metrics["ood_auroc"] > 0.95 and metrics["ood_power"] > 0.8 and metrics["ood_false_discoveries"] < 0.15
    unknown = scored["unknown_probability"].to_numpy()
    assert unknown[y < 0].mean() > 0.7 > 0.1 > unknown[y >= 0].mean()
    np.testing.assert_allclose(scored["prob_a"].to_numpy() + scored["prob_b"].to_numpy(), 1, rtol=1e-6)

    (tmp_path / "checkpoints").mkdir()
    assert read_calibration(tmp_path) is None
    write_calibration(calibrator, tmp_path)
    back = read_calibration(tmp_path)
    assert table(back, found, y).equals(scored)


def test_objects_that_a_fold_held_out_are_compared_with_those_of_the_others():
    rng = np.random.default_rng(1)
    folds = folded(rng)
    calibrator = Calibrator(classes=CLASSES)
    calibrator.fit(folds)
    own = folds[2].calibration
    p = calibrator.columns({2: own}, [(2, 0), (2, 1), (2, 3)])["ood_p"]
    others = np.concatenate([calibrator.ranks[g].scores for g in (0, 1, 3)])
    novelty = calibrator.combinations[2].score(calibrator.models[2].scores(own))
    expected = (1 + (others[None] >= novelty[:, None]).sum(1)) / (1 + len(others))
    np.testing.assert_allclose(p, expected)


def test_one_split_takes_temperature_and_ranks_from_its_validation_objects():
    rng = np.random.default_rng(2)
    (fold,) = folded(rng, k=1, n=600)
    calibrator = Calibrator(classes=CLASSES, conditional="marginal")
    calibrator.fit([fold])
    x, y, _ = objects(rng, 1000)
    assert calibrator.score(table(calibrator, {0: evidence(x, y, 0.0)}, y))["coverage"] == pytest.approx(0.9, abs=0.03)


def test_new_objects_of_one_split_all_calibrate_the_classes_and_half_of_them_the_novelty():
    rng = np.random.default_rng(3)
    calibrator = Calibrator(classes=CLASSES, conditional="marginal")
    calibrator.fit(folded(rng, k=1))
    calibrator.renew([evidence(*objects(rng, 100))])
    assert calibrator.conformal.smallest_alpha() == dict.fromkeys(CLASSES, 1 / 101)
    assert calibrator.mass == 50


@pytest.mark.parametrize("k", [1, 3])
def test_what_joins_the_novelty_scores_never_follows_the_objects_whose_p_values_it_gives(k):
    def shaped(folds):
        calibrator = Calibrator(classes=CLASSES)
        calibrator.fit(folds)
        joined = [calibrator.combinations[f].score(calibrator.models[f].scores(probe)) for f in range(k)]
        return np.array(joined), calibrator.scale

    rng = np.random.default_rng(9)
    folds, probe = folded(rng, k=k), evidence(*objects(rng, 200, unknown=20))
    before, scale = shaped(folds)
    x, y, bias = objects(rng, 20, unknown=300, bias=1.0)
    folds[0].calibration = evidence(x, np.maximum(y, 0), bias)
    after, scale_after = shaped(folds)
    np.testing.assert_array_equal(after[0], before[0])
    assert scale_after == scale
    assert all((after[f] != before[f]).any() for f in range(1, k))
    if k == 1:
        folds[0].stop = folds[0].calibration
        assert (shaped(folds)[0][0] != after[0]).any()


def test_weights_bring_the_coverage_of_a_biased_calibration_back():
    """Near the boundary the labels are hard; the calibration objects are mostly far from it, the survey's are not."""
    rng = np.random.default_rng(3)
    folds = []
    for _ in range(3):
        parts = []
        for n in (400, 80, 700):
            x, y, _ = objects(rng, 4 * n)
            keep = rng.permutation(np.flatnonzero(rng.random(4 * n) < 0.1 + np.abs(x[:, 0] - 1.25) ** 2 / 6))[:n]
            parts.append(evidence(x[keep], y[keep], 0.0))
        folds.append(Fold(*parts))
    x, y, _ = objects(rng, 3000)
    survey = evidence(x, y, 0.0)
    covered = {}
    for shift in (None, ["place_*"]):
        calibrator = Calibrator(classes=CLASSES, shift=shift)
        calibrator.fit(folds, ["place_x", "other", "depth"], survey)
        metrics = calibrator.score(table(calibrator, dict.fromkeys(range(3), survey), y))
        covered[shift is not None] = metrics["coverage"]
    assert covered[False] < 0.86 and abs(covered[True] - 0.9) < 0.03
    assert 100 < metrics["conformal_effective_size"] < 2000
    with pytest.raises(BadInput, match="shift"):
        Calibrator(classes=CLASSES, shift=["colour"]).fit(folds, ["place_x"], survey)


def test_a_class_too_rare_for_alpha_and_a_batch_without_power_are_said(caplog):
    rng = np.random.default_rng(4)
    folds = folded(rng, k=2, n=40)
    for fold in folds:
        keep = np.r_[np.flatnonzero(fold.calibration.label == 0), np.flatnonzero(fold.calibration.label == 1)[:2]]
        c = fold.calibration
        fold.calibration = Evidence(c.probability[keep], c.logits[keep], c.embedding[keep], c.label[keep])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrator = Calibrator(classes=CLASSES, alpha=0.1, fdr=0.01)
        calibrator.fit(folds)
        assert "b 0.2" in caplog.text and "cluster" in caplog.text
        x, y, _ = objects(rng, 50)
        table(calibrator, {0: evidence(x, y, 0.0), 1: evidence(x, y, 0.05)}, y)
    assert "no rejection is possible" in caplog.text
    caplog.clear()
    clustered = Calibrator(classes=CLASSES, conditional="cluster")
    clustered.fit(folds)
    assert not caplog.text


def test_rows_of_plasticcs_classes_leave_room_for_the_contests_unknown_one():
    rng = np.random.default_rng(5)
    calibrator = Calibrator(classes=["6", "90"])
    calibrator.fit(folded(rng))
    x, y, _ = objects(rng, 400, unknown=100)
    found = {f: evidence(x, y, f / 20) for f in range(4)}
    scored = calibrator.finish(pa.table({"id": np.arange(500), **calibrator.columns(found)})).to_pandas()
    assert scored["prob_99"][y < 0].mean() > 0.5
    np.testing.assert_allclose(scored[["prob_6", "prob_90", "prob_99"]].sum(axis=1), 1, atol=1e-6)
    few = {f: evidence(x[:20], y[:20], f / 20) for f in range(4)}
    assert not calibrator.finish(pa.table(calibrator.columns(few)))["prob_99"].to_numpy().any()


def test_a_threshold_follows_the_temperature_so_that_decisions_stay():
    rng = np.random.default_rng(6)
    (fold,) = folded(rng, k=1)
    fold.stop.probability = softmax(0.2 * np.log(fold.stop.probability), axis=1)  # far too unsure
    calibrator = Calibrator(classes=CLASSES)
    calibrator.fit([fold])
    assert calibrator.scale < 0.9
    said = evidence(*objects(rng, 500))
    said.own["threshold"] = np.full(500, 0.35, np.float32)
    found = calibrator.columns({0: said})
    np.testing.assert_array_equal(found["prob_a"] > found["threshold"], said.probability[:, 0] > 0.35)
    assert found["threshold"][0] < 0.34


@pytest.mark.parametrize(
    "scores", [["energy"], ["mahalanobis"], ["novelty"], ["energy", "knn", "mahalanobis", "novelty"]]
)
def test_the_scores_that_are_asked_for_are_joined_and_kept(scores, tmp_path):
    rng = np.random.default_rng(7)
    folds, (x, y, _) = folded(rng), objects(rng, 600, unknown=100)
    found = {f: evidence(x, y, f / 20) for f in range(4)}
    for each in (*(part for fold in folds for part in (fold.train, fold.stop, fold.calibration)), *found.values()):
        each.own["novelty"] = np.append(np.abs(each.embedding[1:, 1]), np.nan)
    calibrator = Calibrator(classes=CLASSES, scores=scores)
    calibrator.fit(folds)
    assert set(calibrator.combinations[0].ranks) == set(scores)
    scored = table(calibrator, found, y)
    if scores != ["energy"]:  # far from the boundary the unknown ones look sure
        assert calibrator.score(scored)["ood_auroc"] > 0.9
    (tmp_path / "checkpoints").mkdir()
    write_calibration(calibrator, tmp_path)
    assert table(read_calibration(tmp_path), found, y).equals(scored)


def test_scores_that_nobody_has_are_refused():
    with pytest.raises(BadInput, match="'softmax' is not known: choose any of energy, knn, mahalanobis, novelty"):
        Calibrator(classes=CLASSES, scores=["energy", "softmax"])
    with pytest.raises(BadInput, match="writes no such column"):
        Calibrator(classes=CLASSES, scores=["novelty"]).fit(folded(np.random.default_rng(8)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": "LAC"},
        {"conditional": "clas"},
        {"alpha": 0},
        {"fdr": 1},
        {"shift": ["*"], "clip": 0.1},
        {"scores": []},
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(wrong):
    with pytest.raises(BadInput):
        Calibrator(classes=[], **wrong)
