"""The published training table through the command line: a network of one label, trees of all, both scored on a file."""

import csv
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
import torch
import xgboost as xgb
import yaml
from command import astro_lightning, run_folder

from astro_lightning.core.conf import conf_folder
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.scope_table import ScopeTable
from astro_lightning.tasks.scope.module import expected_f1_threshold
from astro_lightning.tasks.scope.net import ScopeNetModule
from astro_lightning.tasks.scope.search import staged_search
from astro_lightning.tasks.scope.simulate_table import simulate
from astro_lightning.tasks.scope.table import TableData, tag_targets

TWIN = ("trainer=cpu", "callbacks=quiet", "data.simulation.n_objects=400", "trainer.max_epochs=2")


def group(name):
    with (conf_folder() / name).open() as file:
        return yaml.safe_load(file)


@pytest.fixture(scope="module")
def features():
    return group("features/phenomenological.yaml")


@pytest.fixture(scope="module")
def taxonomy():
    return group("taxonomy/phenomenological.yaml")


@pytest.fixture(scope="module")
def published(features):
    """As published: `obj_id` for the source, images as lists of rows, words beside numbers."""
    table = simulate(60, 1, features)
    images = [np.reshape(image, (26, 26)).tolist() for image in table["dmdt"].to_pylist()]
    table = table.rename_columns(["obj_id" if name == "group" else name for name in table.column_names])
    table = table.drop_columns(["id", "dmdt"]).append_column("dmdt", pa.array(images))
    return table.append_column("_id", pa.array([f"ztf{i}" for i in range(60)]))


def test_a_table_is_read_as_published(published, features, tmp_path):
    pq.write_table(published, tmp_path / "set.parquet")
    records = Records.from_table(pa.concat_tables(ScopeTable().read(tmp_path)))
    assert records.ids[:2].tolist() == ["ztf0", "ztf1"]
    assert records.groups[:4].tolist() == [0, 0, 1, 1]
    assert records.fixed["dmdt"].shape == (60, 676)
    np.testing.assert_array_equal(records.column("f1_amp_ELS_ECE_EAOV"), published["f1_amp_ELS_ECE_EAOV"])


def test_whatever_pandas_makes_of_a_column_of_numbers_is_read_and_other_tables_are_no_rows(tmp_path, caplog):
    images = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 * 676, np.float32)), 676)
    odd = {"median": pa.array([Decimal("1.5"), None]), "skew": pa.nulls(2), "note": ["a", "b"]}
    for name in ("a", "b"):
        pq.write_table(pa.table({"dmdt": images} | odd), tmp_path / f"{name}.parquet")
    (tmp_path / "notes.csv").write_text("who,what\nme,this\n")
    found = pa.concat_tables(ScopeTable().read(tmp_path))
    assert found["id"].to_pylist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found["median"].to_numpy(), [1.5, np.nan] * 2)
    assert np.isnan(found["skew"].to_numpy()).all() and "note" not in found.column_names
    assert "objects are numbered in the order of reading" in caplog.text


def test_labels_are_decided_strictly_and_what_does_not_vary_must_be_labelled_so(taxonomy):
    records = Records.from_table(
        pa.table({"id": range(5), "vnv": [1.0, 0.7, 0.0, 0.0, None], "nonvar": [0.0, 0.0, 1.0, 0.5, 0.0],
                  "eclipsing": [0.75, 0.7, 0.0, None, 1.0]})
    )  # fmt: skip
    targets = tag_targets(records, ["vnv", "e"], taxonomy, 0.7)
    np.testing.assert_array_equal(targets[:, 0], [1, np.nan, 0, np.nan, np.nan])
    np.testing.assert_array_equal(targets[:, 1], [1, 0, 0, np.nan, 1])


def data(features, taxonomy, tmp_path, twin=None, **arguments):
    split = {"train": 0.81, "val": 0.09, "calibration": 0.0, "test": 0.1}
    survey = {
        "name": "simulated", "classes": None, "split": split, "split_seed": 42, "split_by": "group", "memory_gib": 1,
        "simulation": {"n_objects": 400, "seed": 0},
    }  # fmt: skip
    twin = {"_target_": "astro_lightning.tasks.scope.simulate_table.simulate", "features": twin or features}
    made = TableData(data=survey, cache=str(tmp_path), simulate=twin, features=features, taxonomy=taxonomy, **arguments)
    made.setup()
    return made


def test_sources_stay_whole_rows_with_gaps_are_not_learned_from_and_sides_are_balanced(features, taxonomy, tmp_path):
    found = data(features, taxonomy, tmp_path, tags="e", balance=True)
    groups = {part: set(found.records.groups[rows]) for part, rows in found.splits.items()}
    assert not groups["train"] & groups["test"]
    assert tag_targets(found.records, ["e"], taxonomy, 0.7)[found.splits["train"]].mean() == 0.5
    wide = group("features/ontological.yaml")
    strict = {name: entry | {"impute": "none"} for name, entry in wide.items()}
    some = data(strict, taxonomy, tmp_path, twin=wide)
    assert 0 < len(some.splits["train"]) < len(data(wide, taxonomy, tmp_path).splits["train"]) / 2
    assert np.isfinite(some.records.column("AllWISE__w1mpro")[some.splits["train"]]).all()
    with pytest.raises(BadInput, match="one label"):
        data(features, taxonomy, tmp_path, balance=True)
    with pytest.raises(BadInput, match="label yso"):
        data(features, taxonomy, tmp_path, tags="yso").info()


def test_another_threshold_or_taxonomy_finds_no_labels_of_the_first_in_the_cache(features, taxonomy, tmp_path):
    loose, strict = (data(features, taxonomy, tmp_path, threshold=t).records.labels for t in (0.7, 0.9))
    assert sum("vnv" in words.split() for words in strict) < sum("vnv" in words.split() for words in loose)
    one = taxonomy | {"tags": {"vnv": {"label": "variable"}}, "exclusive": []}
    assert set(data(features, one, tmp_path).records.labels) == {"", "vnv", "?vnv"}


def fit(made):
    module = ScopeNetModule(model={"width": 8}, optimizer={}, info=made.info(), types=False)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, limit_train_batches=1,
    )  # fmt: skip
    trainer.fit(module, made)
    return module.eval()


def test_scales_are_those_of_the_training_rows(features, taxonomy, tmp_path):
    made, other = (data(features, taxonomy, tmp_path, tags="e") for _ in range(2))
    held = np.setdiff1d(np.arange(400), made.splits["train"])
    for name in ("median", "skew"):
        values = other.records.column(name).astype(float)
        values[held] *= 1e6
        place = other.records.flat.column_names.index(name)
        other.records.flat = other.records.flat.set_column(place, name, pa.array(values))
    first, second = (fit(one).network["classifier"]["preparation"].state_dict() for one in (made, other))
    assert first["knots"].any()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_thresholds_are_those_of_the_validation_objects(features, taxonomy, tmp_path):
    made = data(features, taxonomy, tmp_path, tags=["e", "vnv"])
    module = fit(made)
    with torch.no_grad():
        tags = module.probabilities(torch.cat([module(batch) for batch in made.loader("val")]))[1]
    torch.testing.assert_close(module.threshold, expected_f1_threshold(tags))
    assert (module.threshold != 0.5).all()


@pytest.mark.slow
def test_one_label_by_the_published_network_scores_a_published_table(published, tmp_path):
    astro_lightning("task=scope_table", "label=e", *TWIN, folder=tmp_path)
    run = run_folder(tmp_path, "scope_table")
    pq.write_table(published.drop_columns(["e", "vnv", "pnp", "i", "nonvar"]), tmp_path / "in.parquet")
    astro_lightning(
        "mode=predict", f"ckpt={run}", f"data.path={tmp_path / 'in.parquet'}", f"out={tmp_path / 'out.parquet'}",
        "trainer=cpu", folder=tmp_path,
    )  # fmt: skip
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["id", "prob_e"]
    assert out["id"].to_pylist() == published["_id"].to_pylist()


@pytest.mark.slow
def test_all_labels_by_trees_end_in_one_table(tmp_path):
    astro_lightning("task=scope_table_xgb", *TWIN, "features=ontological", "taxonomy=phenomenological", folder=tmp_path)
    run = run_folder(tmp_path, "scope_table_xgb")
    rows = list(csv.DictReader((run / "labels.csv").open()))
    assert [row["label"] for row in rows] == ["vnv", "pnp", "e", "i"]
    assert float(rows[2]["roc_auc"]) > 0.9
    assert (run / "plots" / "label_curves.png").exists()
    logged = next(csv.reader((run / "logs" / "classify" / "metrics.csv").open()))
    assert {f"val/f1_{row['label']}" for row in rows} <= set(logged)
    shares = {}
    for row in csv.DictReader((run / "importances.csv").open()):
        shares[row["label"]] = shares.get(row["label"], 0.0) + float(row["share_of_gain"])
    assert shares == pytest.approx(dict.fromkeys(["vnv", "pnp", "e", "i"], 1.0), abs=1e-4)
    assert "label_curves" not in (run / "feature_ranking.csv").read_text()


def test_the_staged_search_finds_that_two_features_act_together():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4))
    target = (features[:, 0] * features[:, 1] > 0).astype(float)
    start = {"objective": "binary:logistic", "max_depth": 1, "eta": 0.3, "nthread": 1, "max_bin": 16}
    best, rounds = staged_search(xgb.DMatrix(features, target), np.arange(300), start, rounds=6)
    assert best["max_depth"] > 1
    assert 1 <= rounds <= 6
