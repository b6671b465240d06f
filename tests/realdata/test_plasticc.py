"""The main job on real light curves, cut short: raw survey files to a report, then a held-out folder scored."""

import json
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder

SHORT = (
    "callbacks=quiet", "trainer=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=12", "trainer.limit_val_batches=4",
    "model.d_model=16", "model.n_heads=2", "model.n_layers=1", "task.tokenizer.max_length=60",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("survey", "classes", "n_test"), [("mallorn", {"AGN", "CC", "Ia", "TDE"}, 487), ("spcc", {"Ia", "II", "Ibc"}, 3411)]
)
def test_pretrain_finetune_test_and_report(shared_data, tmp_path, survey, classes, n_test):
    astro_lightning("task=plasticc", f"data={survey}", *SHORT, folder=tmp_path, ASTRO_LIGHTNING_DATA=str(shared_data))
    run = run_folder(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    predictions = pq.read_table(run / "predictions.parquet")
    assert set(predictions["label"].to_pylist()) == classes
    assert predictions.num_rows == pytest.approx(n_test, abs=5)
    assert 0 < metrics["test/macro_f1"] < 1 and (run / "report.html").stat().st_size < 5e6
    assert "imulated data" not in (run / "report.html").read_text().replace("simulated DES", "")


@pytest.mark.slow
def test_a_folder_of_other_objects_without_labels_is_scored(shared_data, tmp_path):
    astro_lightning(
        "task=plasticc_finetune", "data=mallorn", *SHORT, folder=tmp_path, ASTRO_LIGHTNING_DATA=str(shared_data)
    )
    run = run_folder(tmp_path, "plasticc_finetune")
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    log = pq.read_table(shared_data / "plasticc" / "mallorn" / "unlabelled_log.parquet").slice(0, 40)
    curves = pq.read_table(shared_data / "plasticc" / "mallorn" / "unlabelled_lightcurves.parquet")
    key = next(name for name in log.column_names if name in curves.column_names)
    pq.write_table(log, held_out / "test_log.parquet")
    pq.write_table(
        curves.filter(pc.is_in(curves[key], pa.array(log[key].unique()))), held_out / "test_lightcurves.parquet"
    )
    out = tmp_path / "scores.parquet"
    astro_lightning("mode=predict", f"ckpt={run}", f"data.path={held_out}", f"out={out}", folder=tmp_path)
    scores = pq.read_table(out)
    assert scores.column_names == ["id", "prob_AGN", "prob_CC", "prob_Ia", "prob_TDE"] and scores.num_rows == 40
    shutil.rmtree(held_out)
