import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
import torch
from command import astro_lightning, run_folder

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import METADATA
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.plasticc_features import COLUMNS
from astro_lightning.tasks.plasticc.extinction import LSST
from astro_lightning.tasks.plasticc.feature_data import FeatureData
from astro_lightning.tasks.plasticc.grid_features import grid_features
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.table_features import table_features
from astro_lightning.tasks.plasticc.tabular import NormalScores, TabularModule
from astro_lightning.tasks.plasticc.trees import TreesModule

DATA = {
    "name": "simulated",
    "split": {"train": 0.7, "val": 0.1, "calibration": 0.0, "test": 0.2},
    "split_seed": 0,
    "split_by": "group",
    "simulation": {"n_objects": 40, "seed": 0},
    "memory_gib": 1,
    "reader": {"_target_": "astro_lightning.data.surveys.plasticc.Plasticc"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("features"))


def data(cache, **arguments):
    twin = {"_target_": "astro_lightning.tasks.plasticc.simulate.simulate"}
    module = FeatureData(data=DATA, cache=cache, simulate=twin, batch_size=1000, **arguments)
    module.setup()
    return module


def test_kept_features_equal_those_made_for_a_file(cache):
    module = data(cache)
    kept = FeatureData.remembered(module.records, module.info())
    made = FeatureData.matrix(module.records, np.arange(5, 9), module.info())
    np.testing.assert_array_equal(made, kept[5:9])
    assert np.isfinite(made).any(1).all() and not np.isinf(made).any()


def test_fluxes_that_a_survey_has_corrected_for_dust_are_not_corrected_again(cache):
    module = data(cache)
    corrected = simulate(40, seed=0)
    uncorrected = corrected.drop_columns("dereddened")
    no_dust = uncorrected.set_column(uncorrected.column_names.index("mwebv"), "mwebv", pa.repeat(np.float32(0), 40))
    asked, rows = module.info() | {"deredden": True}, np.arange(40)
    made = {
        name: FeatureData.matrix(Records.from_table(table), rows, asked)
        for name, table in {"corrected": corrected, "uncorrected": uncorrected, "no dust": no_dust}.items()
    }
    np.testing.assert_array_equal(made["corrected"], made["no dust"])
    assert (made["uncorrected"] != made["no dust"]).any(axis=1).all()
    unasked = FeatureData.matrix(Records.from_table(uncorrected), rows, asked | {"deredden": False})
    np.testing.assert_array_equal(unasked, made["no dust"])


def test_a_copy_is_moved_to_another_redshift_after_its_dust_is_taken_off(cache):
    asked = data(cache).info() | {"deredden": True, "redshift_shift": 1.2}
    clear = simulate(40, seed=0)
    mwebv = np.repeat(clear["mwebv"].to_numpy(), [len(curve) for curve in clear["band"]])
    dust = 10 ** (-0.4 * np.asarray(LSST)[pc.list_flatten(clear["band"]).to_numpy()] * mwebv)
    dusty = clear.drop_columns("dereddened")
    for name in ("flux", "flux_err"):
        column = dusty[name].combine_chunks()
        seen = pa.array((column.values.to_numpy() * dust).astype(np.float32))
        place = dusty.column_names.index(name)
        dusty = dusty.set_column(place, name, pa.ListArray.from_arrays(column.offsets, seen))
    a, b = (
        FeatureData.features(Records.from_table(table), np.arange(40), asked, np.random.default_rng(0))
        for table in (clear, dusty)
    )
    for band in "ugrizy":
        np.testing.assert_allclose(a[f"pulse_absolute_{band}"], b[f"pulse_absolute_{band}"], atol=1e-5)


def test_an_ensemble_makes_the_features_of_a_table_once(cache, monkeypatch):
    module = data(cache)
    records, info, calls = Records.open(module.records_folder()), module.info(), []
    monkeypatch.setattr(FeatureData, "features", lambda *a, made=FeatureData.features: calls.append(1) or made(*a))
    for _member in range(3):
        dataset = FeatureData.dataset(records, info)
        for rows in np.split(np.arange(40), 4):
            assert len(dataset[(rows, 0)]["features"]) == 10
    assert len(calls) == 1


def test_training_hashes_are_those_of_the_light_curves_alone(cache):
    from astro_lightning.data.fingerprint import object_hashes

    module = data(cache)
    records = Records.open(module.records_folder())
    np.testing.assert_array_equal(module.train_hashes(), object_hashes(records, module.splits["train"]))


def test_folds_test_every_object_once_and_never_train_on_it(cache):
    tested = []
    for fold in range(4):
        splits = data(cache, fold=fold, n_folds=4, val_share=0.3).splits
        tested.append(splits["test"])
        assert not np.intersect1d(splits["test"], np.concatenate([splits["train"], splits["val"]])).size
    assert sorted(np.concatenate(tested)) == list(range(40))


def test_folds_agree_on_a_class_whose_only_object_one_of_them_holds_out(cache):
    labels = data(cache).records.labels.tolist()
    alone = [name for name in set(labels) if labels.count(name) == 1]
    found = [data(cache, fold=fold, n_folds=4, val_share=0.3).info() for fold in range(4)]
    assert alone and all(info["classes"] == found[0]["classes"] for info in found)
    assert [0 in info["counts"] for info in found].count(True) >= 1


@pytest.mark.parametrize("train_column", [None, "mine"])
def test_folds_tear_no_group_apart_and_leave_unlabelled_objects_out(train_column):
    rng = np.random.default_rng(0)
    groups, mine = rng.integers(0, 30, 120), np.arange(120) % 4 > 0
    label = [None if i % 5 == 0 else ["a", "b"][i % 2] for i in range(120)]
    records = Records.from_table(pa.table({"id": range(120), "label": label, "group": groups, "mine": mine}))
    held = "test" if train_column is None else "calibration"
    for fold in range(3):
        chosen = {**DATA, "train_column": train_column}
        parts = FeatureData(data=chosen, cache="/nowhere", fold=fold, n_folds=3, val_share=0.3).rows(records)
        names = [set(groups[parts[part]]) for part in ("train", "val", held)]
        assert all(names) and sum(map(len, names)) == len(set.union(*names))
        assert all(label[row] for rows in parts.values() for row in rows)


def test_what_lies_outside_the_train_column_is_tested_and_a_fold_of_the_rest_calibrates(cache):
    chosen = {**DATA, "train_column": "photoz"}
    twin = {"_target_": "astro_lightning.tasks.plasticc.simulate.simulate"}

    def splits(**arguments):
        module = FeatureData(data=chosen, cache=cache, simulate=twin, batch_size=1000, val_share=0.3, **arguments)
        module.setup()
        return module.splits, module.records.column("photoz").astype(bool)

    left = []
    for fold in range(2):
        parts, inside = splits(fold=fold, n_folds=2)
        assert not inside[parts["test"]].any() and len(parts["test"]) == (~inside).sum()
        left.append(parts["calibration"])
        assert sorted(np.concatenate(list(parts.values()))) == list(range(40))
    assert sorted(np.concatenate(left)) == np.flatnonzero(inside).tolist()
    assert not len(splits()[0]["calibration"])
    with pytest.raises(BadInput, match="nowhere"):
        FeatureData(data={**DATA, "train_column": "nowhere"}, cache=cache, simulate=twin, batch_size=1000).setup()


def test_moved_copies_join_the_training_batch_alone(cache):
    module = data(cache, copies=2)
    n = len(module.splits["train"])
    train, again = (next(iter(module.loader("train"))) for _ in range(2))
    assert n < len(train["row"]) <= 3 * n
    assert set(train["row"].tolist()) == set(module.splits["train"].tolist())
    np.testing.assert_array_equal(train["features"][n:], again["features"][n:])
    few = module.dataset(module.records, module.info())
    few.copied = module.datasets[True].copied
    batch = few[(module.splits["train"][:3], 0)]
    assert set(batch["row"].tolist()) == set(module.splits["train"][:3].tolist())
    photoz = module.info()["features"].index("meta_photoz")
    rows = train["row"][n:].numpy()
    copies, originals = train["features"][n:, photoz].numpy(), module.records.column("photoz")[rows]
    extragalactic = originals > 0
    assert (copies[extragalactic] != originals[extragalactic]).any()
    np.testing.assert_array_equal(copies[~extragalactic], originals[~extragalactic])
    val = next(iter(module.val_dataloader()))
    assert val["row"].tolist() == module.splits["val"].tolist()


def test_weights_balance_the_classes(cache):
    batch = next(iter(data(cache, balance=1.0).loader("train")))
    total = np.bincount(batch["target"].numpy(), batch["weight"].numpy())
    np.testing.assert_allclose(total[total > 0], total.max(), rtol=1e-5)


def test_a_networks_ranks_are_those_of_the_training_objects(cache):
    made = data(cache)
    module = TabularModule(model={"width": 8}, optimizer={}, info=made.info())
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, made)
    train = FeatureData.remembered(made.records, made.info())[made.splits["train"]]
    alone = NormalScores(train.shape[1])
    alone.fit(torch.from_numpy(train))
    torch.testing.assert_close(module.network.scores.quantiles, alone.quantiles, rtol=0, atol=0)


def test_class_proportions_of_a_table_are_found():
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.1
    logit = np.where(truth, 1.5, -1.5) + rng.normal(0, 1.0, 4000)
    p = 1 / (1 + np.exp(-3 * logit))
    table = pa.table({"id": np.arange(4000), "prob_a": p.astype("f4"), "prob_b": (1 - p).astype("f4")})
    info = {"classes": ["a", "b"], "counts": [500, 500], "balance": 0.0, "label_shift": True}
    after = TreesModule.finish(table, info)["prob_a"].to_numpy()
    assert abs(after.mean() - 0.1) < 0.03 < abs(p.mean() - 0.1) + 0.02
    assert TreesModule.finish(table, info | {"label_shift": False}) is table


def test_shapes_of_a_grid_do_not_depend_on_its_scale():
    flux = np.random.default_rng(0).normal(size=(3, 6, 36)).cumsum(2)
    a, b = grid_features(flux), grid_features(10 * flux)
    for name in a:
        if not name.startswith(("log_", "colour_")):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_luminosity_follows_redshift_and_is_unknown_in_the_galaxy():
    rng = np.random.default_rng(0)
    statistics = {name.split("__")[0]: rng.uniform(1, 100, (3, 6)) for name in COLUMNS[::6]}
    same = {name: np.repeat(values[:1], 3, axis=0) for name, values in statistics.items()}
    metadata = {"photoz": np.array([0.1, 1.0, 0.0])} | {
        name: np.zeros(3) for name in METADATA if name not in ("photoz", "specz")
    }
    table = table_features(same, metadata)
    assert table["absolute_maximum_r"][0] - table["absolute_maximum_r"][1] == pytest.approx(44.10 - 38.31, abs=0.05)
    assert np.isnan(table["absolute_maximum_r"][2])


@pytest.mark.slow
def test_folds_of_trees_score_a_file_they_never_saw(tmp_path):
    small = (
        "callbacks=quiet",
        "trainer=cpu",
        "trainer.max_epochs=1",
    )
    classes = "data.classes=['6','15','16','42','52','53','62','64','65','67','88','90','92','95']"
    words = (
        "task=plasticc_trees",
        "task.stages.folds=2",
        "data.simulation.n_objects=60",
        "task.features.val_share=0.3",
        classes,
    )
    astro_lightning(*words, *small, folder=tmp_path)
    run = run_folder(tmp_path, "plasticc_trees")
    scored = pd.read_parquet(run / "predictions.parquet")
    assert len(scored) == 60
    mistakes = pq.read_table(run / "examples" / "mistakes.parquet").to_pylist()
    decided = dict(zip(scored["id"], scored.filter(regex="prob_(?!99)").idxmax(axis=1).str.removeprefix("prob_")))
    assert len(mistakes) == 9 and all(row["label"] != row["predicted"] == decided[row["id"]] for row in mistakes)
    assert (run / "plots" / "mistaken_light_curves.png").exists()
    assert "Light curves of the surest mistakes" in (run / "report.html").read_text()
    curves, objects = [], []
    names = {"photoz": "hostgal_photoz", "photoz_err": "hostgal_photoz_err", "mwebv": "mwebv", "id": "object_id"}
    for row in simulate(n_objects=12, seed=9).to_pylist():
        table = pd.DataFrame({name: row[name] for name in ("mjd", "flux", "flux_err", "detected")})
        curves.append(table.assign(object_id=row["id"], passband=row["band"]))
        objects.append({new_name: row[name] for name, new_name in names.items()})
    new = tmp_path / "new"
    new.mkdir()
    pd.concat(curves).to_parquet(new / "test_lightcurves.parquet")
    pd.DataFrame(objects).to_parquet(new / "test_metadata.parquet")
    out = tmp_path / "out.parquet"
    words = ("mode=predict", "task=plasticc_trees", f"ckpt={run}", f"data.path={new}", f"out={out}", "trainer=cpu")
    astro_lightning(*words, folder=tmp_path)
    table = pq.read_table(out).to_pandas()
    assert table.id.tolist() == [row["object_id"] for row in objects]
    probabilities = table.filter(like="prob_")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert probabilities.std().max() > 0
    # Each fold's own objects calibrated: its tested ones, and the new file, have p-values.
    expected = {"p_90", "set", "ood_p", "ood_flag", "prob_99"}
    assert expected <= set(table.columns) and expected <= set(scored.columns)
    assert table["ood_p"].between(1 / 61, 1).all() and scored["ood_p"].between(1 / 31, 1).all()
