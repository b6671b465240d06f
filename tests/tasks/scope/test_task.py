"""Both tasks through the Trainer on the synthetic twin, and a checkpoint that scores raw curves alone."""

import numpy as np
import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch
import yaml

from astro_lightning.core.checkpoint import Identity, restore
from astro_lightning.core.stages import make_datamodule, make_module
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.methods.periodograms.descriptors import DESCRIPTORS
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.scope.chooser import Chooser
from astro_lightning.tasks.scope.data import ScopeData
from astro_lightning.tasks.scope.feature_cache import feature_file, measure_chunk
from astro_lightning.tasks.scope.folds import fold_stages
from astro_lightning.tasks.scope.measure import magnitudes, measure, thinned
from astro_lightning.tasks.scope.module import expected_f1_threshold
from astro_lightning.tasks.scope.scaling import SCALINGS, Preparation
from astro_lightning.tasks.scope.simulate import simulate

TAXONOMY = "conf/taxonomy/catalina.yaml"
TREES = {"eta": 0.3, "max_depth": 4, "max_bin": 32}
SETTINGS = {"max_per_day": 16.0, "min_gap_d": 0.0, "processes": 1}


@pytest.fixture(scope="module")
def table():
    return simulate(90, seed=1)


@pytest.fixture(scope="module")
def records(table):
    return Records.from_table(table)


@pytest.fixture(scope="module")
def cfg(tmp_path_factory, request):
    with (request.config.rootpath / TAXONOMY).open() as file:
        taxonomy = yaml.safe_load(file)
    return {
        "data": {
            "name": "simulated", "classes": None, "split": {"train": 0.7, "val": 0.15, "calibration": 0.0, "test": 0.15},
            "split_seed": 0, "split_by": "group", "simulation": {"n_objects": 90, "seed": 1}, "memory_gib": 1,
        },
        "paths": {"cache": str(tmp_path_factory.mktemp("cache"))},
        "seed": 0, "workers": 0, "batch_size": None, "model": None, "optimizer": {},
        "task": {"name": "scope", "simulate": {"_target_": "astro_lightning.tasks.scope.simulate.simulate"}},
        "taxonomy": taxonomy,
    }  # fmt: skip


def stage(cfg, module, model, **datamodule):
    features = {"_target_": "astro_lightning.tasks.scope.data.ScopeData", "taxonomy": cfg["taxonomy"], **SETTINGS}
    return {
        "name": "s", "datamodule": features | datamodule, "module": module, "model": model, "optimizer": {},
        "monitor": "val/loss", "mode": "min", "batch_size": 64,
    }  # fmt: skip


def fit(cfg, stage, folder, epochs):
    data = make_datamodule(cfg, stage)
    module = make_module(cfg, stage, data.info())
    kinds = {
        name: f"{type(x).__module__}.{type(x).__qualname__}" for name, x in (("module", module), ("datamodule", data))
    }
    identity = Identity({"task": "scope", "stage": "s", "batch_size": 64, **kinds}, data.train_hashes())
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, callbacks=[identity],
    )  # fmt: skip
    trainer.fit(module, data)
    path = folder / "checkpoints" / "s" / "best.ckpt"
    path.parent.mkdir(parents=True)
    trainer.save_checkpoint(path)
    return data, module, path


@pytest.fixture(scope="module")
def periods(cfg, tmp_path_factory):
    module = {"_target_": "astro_lightning.tasks.scope.periods.PeriodModule", "folds": 2, "rounds_per_epoch": 15}
    folder = tmp_path_factory.mktemp("periods")
    data, module, path = fit(cfg, stage(cfg, module, TREES), folder, 1)
    return path, module.hand_over(path, data, folder)["score"], data


@pytest.mark.parametrize(("kind", "most"), [("RRab", 0.35), ("delta_scuti", 0.45)])
def test_pulsators_of_the_twin_brighten_fast_and_fade_slowly(kind, most):
    rise = []
    for star in simulate(200, seed=2).to_pylist():
        if star["label"] == kind:
            place = (np.array(star["mjd"]) / star["period"] % 1 * 12).astype(int)
            level = np.bincount(place, star["mag"], 12) / np.bincount(place, minlength=12).clip(1)
            rise.append((np.where(level > 0, level, np.inf).argmin() - level.argmax()) % 12 / 12)
    assert len(rise) > 4 and np.median(rise) < most


def test_chosen_periods_are_right_and_not_seen_before(periods):
    _, score, data = periods
    score = np.load(score)
    frequency, period = data.records.fixed["frequency"], data.records.column("period")
    chosen = 1 / frequency[np.arange(len(score)), score.argmax(1)]
    right = np.abs(chosen / period - 1) < 0.01
    for part in ("train", "val", "test"):
        assert right[data.splits[part]].mean() > 0.8


def test_training_rows_are_scored_by_the_trees_of_the_other_folds(periods):
    path, score, data = periods
    score, module = np.load(score), restore(path).module
    for batch in data.loader("train"):
        row, inputs = batch["row"].numpy(), Chooser.inputs(batch)
        own = np.stack([module.network.scores(inputs, fold).numpy() for fold in range(2)])[
            module.fold(data, row), np.arange(len(row))
        ]
        np.testing.assert_allclose(score[row], own, rtol=1e-6)
        assert (np.abs(score[row] - module(batch).numpy()).max(1) > 1e-3).all()
    for batch in data.loader("test"):
        np.testing.assert_allclose(score[batch["row"].numpy()], module(batch).numpy(), rtol=1e-6)


CLASSIFIERS = [
    ({"_target_": "astro_lightning.tasks.scope.trees.ScopeTreesModule", "rounds_per_epoch": 20}, TREES, 1),
    ({"_target_": "astro_lightning.tasks.scope.net.ScopeNetModule"}, {"width": 32}, 2),
    ({"_target_": "astro_lightning.tasks.scope.forest.ScopeForestModule"}, {"n_trees": 30}, 1),
]


@pytest.mark.parametrize(("module", "model", "epochs"), CLASSIFIERS, ids=["trees", "network", "forest"])
def test_a_checkpoint_scores_raw_curves_alone(cfg, periods, table, tmp_path, module, model, epochs):
    chooser, score, _ = periods
    module = {**module, "chooser": str(chooser), "chooser_folds": 2}
    data, fitted, path = fit(cfg, stage(cfg, module, model, score=str(score)), tmp_path, epochs)
    fitted.hand_over(path, data, tmp_path)
    assert (tmp_path / "plots" / "periods.png").exists()
    chooser.rename(chooser.with_suffix(".gone"))
    try:
        scorer = Scorer(path)
        raw = table.slice(0, 12).drop_columns(["label", "period"])
        predictions = scorer.predict_table(raw)
    finally:
        chooser.with_suffix(".gone").rename(chooser)
    assert predictions.num_rows == 12
    assert "period_reference" not in predictions.column_names
    names = {"prob_e", "prob_ea", "prob_rrlyr", "prob_rot", "prob_RRab", "period", "type"}
    assert names <= set(predictions.column_names)
    found = np.abs(predictions["period"].to_numpy() / table["period"].to_numpy()[:12] - 1) < 0.01
    assert found.mean() > 0.7
    hashes = scorer.members[0].train_hashes
    assert len(hashes) == len(data.splits["train"])
    assert scorer.seen_in_training(hashes[:3]) == 3
    if "net" not in module["_target_"]:
        right = np.array(predictions["type"].to_pylist()) == np.array(table["label"].to_pylist()[:12])
        assert right.mean() > 0.6


def test_folds_test_every_object_once_and_learn_from_no_tested_source(cfg):
    classify = stage(cfg, {"_target_": CLASSIFIERS[0][0]["_target_"]}, TREES) | {
        "takes": {"module.chooser": "periods/x"}
    }
    stages = fold_stages(cfg, 3, periods=stage(cfg, {}, {}), classify=classify)
    assert list(stages)[:2] == ["periods_fold0", "classify_fold0"]
    assert stages["classify_fold2"]["takes"] == {"module.chooser": "periods_fold2/x"}
    tested = []
    for fold in range(3):
        data = make_datamodule(cfg, stages[f"classify_fold{fold}"])
        data.setup()
        assert not set(data.splits["train"]) & set(data.splits["test"])
        tested += data.splits["test"].tolist()
    assert sorted(tested) == list(range(len(data.records)))


def test_folds_tear_no_source_apart(cfg):
    groups = np.random.default_rng(0).permutation(90) // 4
    records = Records.from_table(
        pa.table({"id": range(90), "label": np.array(["EA", "RRab"])[groups % 2], "group": groups})
    )
    for fold in range(3):
        data = ScopeData(
            data=cfg["data"], cache="/nowhere", taxonomy=cfg["taxonomy"], fold=fold, n_folds=3, val_share=0.3
        )
        sources = [set(groups[rows]) for rows in data.rows(records).values() if len(rows)]
        assert len(sources) == 3 and sum(map(len, sources)) == len(set.union(*sources)) == len(set(groups))


def test_growing_in_epochs_equals_training_at_once(cfg, periods, tmp_path):
    import xgboost as xgb

    _, score, _ = periods
    module = {"_target_": CLASSIFIERS[0][0]["_target_"], "rounds_per_epoch": 4, "chooser": None, "chooser_folds": 2}
    data, fitted, _ = fit(cfg, stage(cfg, module, TREES, score=str(score), tags="e"), tmp_path, 3)
    batch = next(iter(data.loader("test")))
    features = fitted.features(batch)
    trees = fitted.boosters()[1]
    at_once = xgb.train(trees.xgboost_parameters, fitted.matrices[1], 12)
    margin = at_once.inplace_predict(features.numpy(), predict_type="margin")
    np.testing.assert_array_equal(trees(features)[:, 1].numpy(), margin)


def test_a_curve_too_short_for_features_is_scored_not_lost(records):
    short = Records.from_table(
        pa.table({"id": [7], "mjd": [[1.0, 2.0]], "mag": [[15.0, 15.1]], "mag_err": [[0.1, 0.1]]})
    )
    found = measure(short, np.array([0]), **SETTINGS)
    assert np.isnan(found["statistics"]).all()
    assert (found["frequency"] == 1).all()


def test_features_follow_the_rows_asked_for(records):
    rows = np.array([5, 2, 11])
    together = measure(records, rows, **SETTINGS)
    alone = measure(records, rows[1:2], **SETTINGS)
    np.testing.assert_allclose(together["statistics"][1], alone["statistics"][0], rtol=1e-5)
    np.testing.assert_allclose(together["frequency"][1], alone["frequency"][0], rtol=1e-9)


def test_features_are_measured_once_and_anew_for_other_settings(records, tmp_path, monkeypatch):
    rows = np.arange(3)
    first = measure_chunk(tmp_path, records, rows, SETTINGS)
    monkeypatch.setattr("astro_lightning.tasks.scope.feature_cache.measure", lambda *a, **k: pytest.fail("measured"))
    again = measure_chunk(tmp_path, records, rows, SETTINGS | {"processes": 2})
    np.testing.assert_array_equal(first["dmdt"], again["dmdt"])
    assert feature_file(tmp_path, records, rows, SETTINGS | {"max_per_day": 9.0}) != next(tmp_path.iterdir())


def test_thinning_keeps_points_half_an_hour_apart():
    mjd = np.array([0.0, 0.01, 0.02, 0.03, 1.0, 0.0, 0.5])
    owner = np.array([0, 0, 0, 0, 0, 1, 1])
    kept = thinned(mjd, owner, np.ones(7, bool), 30 / 1440)
    assert kept.tolist() == [True, False, False, True, True, True, True]


def test_fluxes_become_magnitudes():
    flux = Records.from_table(
        pa.table({"id": [1], "mjd": [[1.0, 2.0, 3.0]], "flux": [[100.0, 1.0, -5.0]], "flux_err": [[1.0, 0.1, 1.0]]})
    )
    _, mag, err, offsets = magnitudes(flux, np.array([0]))
    np.testing.assert_allclose(mag, [22.5, 27.5])
    np.testing.assert_allclose(err[0], 0.010857, rtol=1e-3)
    assert offsets.tolist() == [0, 2]


def test_an_untrained_chooser_prefers_order_near_the_best_sinusoid():
    candidates = torch.zeros(1, 50, len(DESCRIPTORS))
    candidates[0, :, DESCRIPTORS.index("log_period")] = torch.linspace(-1, 1, 50)
    batch = {"candidates": candidates.flatten(1), "best_sine": torch.tensor([[10.0, 0.5, 9.0]])}
    assert Chooser(2, {})(batch).argmax() == 0
    candidates[0, 49, DESCRIPTORS.index("log_aov")] = 2.0
    assert Chooser(2, {})(batch).argmax() == 49


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaling_is_that_of_the_training_rows(scaling):
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 100.0, 1e-3])
    train[::7, 1] = torch.nan
    preparation = Preparation(3, scaling)
    preparation.fit(train)
    other = torch.tensor([[0.0, torch.nan, torch.inf], [1e9, -1e9, 0.0]])
    alone, together = preparation(other[:1]), preparation(torch.cat([other, train]))[:1]
    torch.testing.assert_close(alone, together)
    assert together.isfinite().all()
    spread = preparation(train).std(0)
    assert ((spread > 0.05) & (spread < 3)).all()


def test_unknown_scaling_is_bad_input():
    with pytest.raises(BadInput, match="logs"):
        Preparation(3, "logs")


def test_expected_threshold_is_near_the_best_one():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 3, 20_000)
    truth = rng.random(20_000) < probability
    threshold = expected_f1_threshold(torch.from_numpy(probability)[:, None]).item()
    best = max(f1_score(truth, probability > t) for t in np.linspace(0.05, 0.95, 91))
    assert f1_score(truth, probability > threshold) > best - 0.005
    assert f1_score(truth, probability > 0.5) < best - 0.02


def test_a_label_that_no_type_decides_is_sent_to_the_training_table(cfg):
    with pytest.raises(BadInput, match=r"label=vnv is none of .*task=scope_table label=vnv"):
        make_datamodule(cfg, stage(cfg, {}, {}, tags="vnv"))
