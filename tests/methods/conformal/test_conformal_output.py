import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.evaluate import auroc, coverage, discoveries, proportion, set_sizes
from astro_lightning.methods.conformal.output import contest_prob, result_table, unknown_probability
from astro_lightning.methods.conformal.predictor import ConformalPredictor, Scored


def test_clopper_pearson():
    got = proportion(7, 10)
    assert got["low"] == pytest.approx(beta.ppf(0.025, 7, 4)) and got["high"] == pytest.approx(beta.ppf(0.975, 8, 3))
    assert proportion(0, 0)["value"] is None


def test_coverage_and_sizes_by_hand():
    member = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    got = coverage(member, [0, 0, 1, 1], ["a", "b"])
    assert (got["a"]["value"], got["b"]["value"], got["all"]["value"]) == (1.0, 0.5, 0.75)
    assert set_sizes(member) == {"mean": 1.0, "n": 4, "empty": 0.25, "single": 0.5, "larger": 0.25}


def test_auroc_with_ties_and_an_interval_that_holds_the_truth():
    rng = np.random.default_rng(0)
    s, u = rng.integers(0, 6, 400), rng.random(400) < 0.3
    s[u] += 2
    got = auroc(s, u)
    assert got["value"] == pytest.approx(roc_auc_score(u, s))
    assert got["low"] < got["value"] < got["high"]
    assert got["high"] - got["low"] < 0.15
    with pytest.raises(BadInput):
        auroc([1.0], [True])


def test_discoveries():
    got = discoveries([True, True, False, False], [True, False, True, False], 0.1)
    assert (got["false_discoveries"]["value"], got["power"]["value"], got["asked"]) == (0.5, 0.5, 0.1)


def test_probability_of_the_unknown_class_is_calibrated():
    rng = np.random.default_rng(0)
    unknown = np.arange(20_000) < 4000
    p = np.where(unknown, rng.beta(0.3, 6, 20_000), 1 - rng.random(20_000))
    got = unknown_probability(p)
    assert got.mean() == pytest.approx(0.2, abs=0.03)
    for low, high in ((0.05, 0.5), (0.5, 1.0)):
        mine = (got > low) & (got <= high)
        assert got[mine].mean() == pytest.approx(unknown[mine].mean(), abs=0.05)
    assert (np.diff(got[np.argsort(p)]) <= 1e-12).all()
    assert unknown_probability(1 - rng.random(20_000)).mean() < 0.03
    assert unknown_probability(p, prior=0.0).max() < unknown_probability(p, prior=0.5).max()
    assert unknown_probability([]).shape == (0,)


def test_table_columns():
    table = result_table(["a", "b"], [[0.7, 0.3]] * 2, [[0.5, 0.1]] * 2, [[1, 0], [1, 1]], [0.2, 0.9], [True, False])
    assert list(table) == ["prob_a", "prob_b", "p_a", "p_b", "set", "ood_p", "prob_99", "ood_flag"]
    assert [list(s) for s in table["set"]] == [["a"], ["a", "b"]]
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    assert arrow.schema.field("set").type == pa.list_(pa.string())
    assert "ood_p" not in result_table(["a"], [[1.0]], [[1.0]], [[True]])
    with pytest.raises(BadInput):
        result_table(["a"], [[0.7, 0.3]], [[0.5, 0.1]], [[1, 0]])
    np.testing.assert_allclose(contest_prob([[0.6, 0.4]], [0.5]), [[0.3, 0.2, 0.5]])


def scored(rng, n, unknown=0):
    y = rng.integers(0, 2, n)
    x = rng.normal(0, 1, (n, 3)) + 2.5 * y[:, None] * np.array([1, 0, 0])
    if unknown:
        x = np.vstack([x, rng.normal(0, 0.5, (unknown, 3)) + np.array([1, 6, 0])])
    logits = -0.5 * np.stack([((x - m) ** 2).sum(1) for m in ([0, 0, 0], [2.5, 0, 0])], axis=1)
    return Scored(logits, x, y)


@pytest.mark.parametrize("contrast", [False, True])
def test_predictor_end_to_end_and_through_a_checkpoint(tmp_path, contrast):
    rng = np.random.default_rng(0)
    model = ConformalPredictor(["a", "b"]).fit(scored(rng, 600), scored(rng, 300), scored(rng, 600))
    batch = scored(rng, 400, unknown=60)
    table = model.predict(batch, alpha=0.1, q=0.1, contrast=contrast)
    truth = np.arange(460) >= 400
    flag = table.ood_flag.to_numpy()
    assert flag[truth].mean() > 0.8 and flag[~truth].sum() <= 20
    assert table.prob_99[truth].mean() > 0.7 > 0.1 > table.prob_99[~truth].mean()
    hit = [["a", "b"][y] in s for y, s in zip(batch.label, table["set"])]
    assert 0.85 < np.mean(hit) < 0.95
    np.testing.assert_allclose(table[["prob_a", "prob_b"]].sum(axis=1), 1)

    def tensors(value):
        if isinstance(value, dict):
            return {k: tensors(v) for k, v in value.items()}
        if isinstance(value, list):
            return [tensors(v) for v in value]
        return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value

    torch.save(tensors(model.state()), tmp_path / "m.ckpt")
    back = ConformalPredictor.from_state(torch.load(tmp_path / "m.ckpt", weights_only=True))
    again = back.predict(batch, alpha=0.1, q=0.1, contrast=contrast)
    np.testing.assert_allclose(again.ood_p, table.ood_p)
    np.testing.assert_allclose(again.p_a, table.p_a)


def test_an_extra_score_must_be_there_again():
    rng = np.random.default_rng(0)
    parts = [scored(rng, 60) for _ in range(3)]
    for part in parts:
        part.extra = {"reconstruction_nll": rng.normal(size=60)}
    model = ConformalPredictor(["a", "b"]).fit(*parts)
    assert model.ood_p(parts[2]).shape == (60,)
    with pytest.raises(BadInput, match="reconstruction_nll"):
        model.ood_p(scored(rng, 10))
