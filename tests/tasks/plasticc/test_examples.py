import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command import TINY, astro_lightning, run_folder

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.provenance import read_kept
from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.data import PretrainData
from astro_lightning.tasks.plasticc.examples import choose, reconstruct_examples
from astro_lightning.tasks.plasticc.module import FinetuneModule
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.transformer import PlasticcTransformer


@pytest.fixture(scope="module")
def records():
    return Records.from_table(simulate(n_objects=120, seed=3))


def test_examples_are_of_different_classes_and_labelled_first(records):
    rows = np.arange(len(records))
    n_classes = len({label for label in records.labels if label is not None})
    chosen = choose(records, rows, 9)
    assert len(set(chosen)) == 9
    assert len(set(records.labels[chosen])) == min(9, n_classes)
    assert None not in records.labels[chosen]
    assert len(choose(records, rows[:4], 9)) == 4


def test_the_best_measured_object_of_a_class_comes_first(records):
    label = records.labels[records.labels != None][0]  # noqa: E711
    rows = np.flatnonzero(records.labels == label)
    snr = [
        np.minimum(np.abs(np.divide(*(records.ragged[name].take([row])[0] for name in ("flux", "flux_err")))), 10)
        for row in rows
    ]
    assert choose(records, rows, 1) == rows[np.argmax([values.sum() / max(len(values), 20) for values in snr])]


def predictions(classes):
    table = {"label": ["90", "42", "90"], **{f"prob_{name}": [0.5, 0.5, 0.5] for name in classes}}
    return pa.table(table)


def test_the_contests_loss_is_for_its_own_classes_alone():
    scored = FinetuneModule.score(predictions(("42", "90")), {"classes": ["42", "90"]})
    assert scored["weighted_log_loss"] == pytest.approx(np.log(2))
    table = predictions(("42", "90")).rename_columns(["label", "prob_Ia", "prob_II"])
    table = table.set_column(0, "label", [["Ia", "II", "Ia"]])
    assert "weighted_log_loss" not in FinetuneModule.score(table, {"classes": ["Ia", "II"]})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    astro_lightning("task=plasticc", *TINY, folder=folder)
    return run_folder(folder)


@pytest.mark.slow
def test_a_run_keeps_reconstructed_and_predicted_light_curves(run):
    table = pq.read_table(run / "examples" / "light_curves.parquet").to_pylist()
    assert len(table) == 9
    classes = restore(run / "checkpoints" / "finetune" / "best.ckpt").info["classes"]
    for row in table:
        assert row["predicted"] in classes
        masked, flux = np.array(row["masked"]), np.array(row["reconstruction"])
        assert 0.3 < masked.mean() < 0.7
        assert (np.isfinite(flux) == masked).all()
        assert len(row["mjd"]) == len(row["band"]) == len(row["flux"]) == len(row["flux_err"]) == len(masked)


@pytest.mark.slow
def test_the_examples_are_held_out_and_the_report_draws_them(run):
    examples = set(pq.read_table(run / "examples" / "light_curves.parquet")["id"].to_pylist())
    tested = pq.read_table(run / "predictions.parquet")["id"].to_pylist()
    mapped = pq.read_table(run / "examples" / "embedding.parquet")
    assert not examples & set(tested)
    assert mapped["id"].to_pylist() == tested
    assert set(pq.read_table(run / "examples" / "mistakes.parquet")["id"].to_pylist()) <= set(tested)
    for name in ("light_curves", "mistaken_light_curves", "embedding"):
        assert (run / "plots" / f"{name}.png").stat().st_size > 5000
        assert (run / "plots" / f"{name}.txt").read_text()


@pytest.mark.slow
def test_the_reconstruction_is_the_networks(run):
    """The flux of a masked observation does not reach its own reconstruction."""
    module = restore(run / "checkpoints" / "pretrain" / "best.ckpt").module
    records = Records.from_table(simulate(n_objects=20, seed=1))
    restored = restore(run / "checkpoints" / "pretrain" / "best.ckpt")
    batch = restored.datamodule.dataset(records, restored.info)[(np.arange(5), 0)]
    backbone = module.network.backbone
    with torch.no_grad():
        before = backbone.reconstruct(backbone.encode(batch)[0])
        batch["features"][batch["masked"]] = 7.0
        torch.testing.assert_close(backbone.reconstruct(backbone.encode(batch)[0]), before)


@pytest.mark.slow
def test_a_reconstruction_is_a_flux_of_the_surveys_scale(run, tmp_path, monkeypatch):
    """A network that says asinh(flux / scale) = 1 everywhere."""
    monkeypatch.setattr(PlasticcTransformer, "reconstruct", lambda self, states: torch.ones(*states.shape[:2], 2))
    checkpoint = run / "checkpoints" / "pretrain" / "best.ckpt"
    datamodule = datamodule_of(read_kept(run / "config.yaml"), "pretrain")
    reconstruct_examples(checkpoint, datamodule, tmp_path, torch.device("cpu"))
    table = pq.read_table(tmp_path / "examples" / "light_curves.parquet")
    found = np.concatenate(table["reconstruction"].to_numpy())
    assert found[np.isfinite(found)] == pytest.approx(np.sinh(1) * restore(checkpoint).info["flux_scale"])


@pytest.mark.slow
def test_without_a_pretraining_the_examples_have_a_prediction_only(tmp_path):
    astro_lightning("task=plasticc_finetune", *TINY, "trainer.max_epochs=1", "report=false", folder=tmp_path)
    table = pq.read_table(run_folder(tmp_path, "plasticc_finetune") / "examples" / "light_curves.parquet")
    assert "reconstruction" not in table.column_names
    assert table["predicted"].null_count == 0


def test_pretraining_sees_no_light_curve_of_an_object_that_is_held_out():
    groups = np.arange(200) // 2  # each with a label and once more without
    columns = {"id": range(200), "label": ["a", None] * 100, "group": groups}
    split = {"train": 0.5, "val": 0.1, "calibration": 0.2, "test": 0.2}
    data = {"split": split, "split_seed": 0, "split_by": "group"}
    parts = PretrainData(tokenizer={}, pretrain={}, data=data, cache="/nowhere").rows(
        Records.from_table(pa.table(columns))
    )
    seen, held_out = (
        set(groups[np.concatenate([parts[a], parts[b]])]) for a, b in (("train", "val"), ("calibration", "test"))
    )
    assert len(held_out) == 40 and not seen & held_out
    assert len(seen) == 60
