"""`task.calibrator` with every task, on twins: columns beside the task's own, or a refusal before anything is trained."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder

from astro_lightning.predict.score import Scorer

CALIBRATOR = "+task.calibrator={_target_: astro_lightning.methods.conformal.calibrator.Calibrator, alpha: 0.2}"
QUICK = ("trainer=cpu", "callbacks=quiet", "trainer.max_epochs=1")
SPLIT = "data.split={train: 0.5, val: 0.1, calibration: 0.2, test: 0.2}"
STAMPS = (
    "task=rb_c1000", "data.simulation.n_objects=120", "+data.simulation.side_px=21", "task.sets.n_labelled=40",
    "task.sets.n_pool=20", "task.loop.n_select=4", "task.baselines=false", "report=false", SPLIT,
)  # fmt: skip
SPECTRA = ("data.simulation.n_objects=160", "model.width=4", "+task.calibrator.scores=[knn,mahalanobis]", SPLIT)
CURVES = ("data.simulation.n_objects=160", "task.features.max_per_day=8", "task.folds=2", "report=false", SPLIT)
FOLDS = ("data.simulation.n_objects=100", "task.n_folds=2", "task.val_share=0.1", "report=false")
# Task -> words, its classes, and columns of its own that must stay.
TASKS = {
    "scope_xgb": (CURVES, None, {"type", "period", "prob_e"}),
    "spectra": (SPECTRA, ["GALAXY", "QSO", "STAR"], {"reject", "p_known", "unknown_logit", "survey"}),
    "rb_rnn": ((*FOLDS, "task.heads=[trees,attention]"), ["artefact", "other"], {"threshold", "decision"}),
    "rb_c1000": ((*STAMPS, "task.main=trees", "task.rounds=[trees]"), ["bogus", "real"], set()),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_p_values_sets_and_flags_stand_beside_what_the_task_writes(task, tmp_path):
    words, classes, own = TASKS[task]
    astro_lightning(f"task={task}", *QUICK, CALIBRATOR, *words, folder=tmp_path)
    run = run_folder(tmp_path, task)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/conformal_calibration_objects"] > 15
    assert 0.4 < metrics["test/coverage"] <= 1
    table = pq.read_table(run / "predictions.parquet").to_pandas()
    classes = classes or Scorer(run).info["classes"]
    known = {f"{kind}_{name}" for kind in ("prob", "p") for name in classes}
    assert known | own | {"set", "ood_p", "ood_flag", "unknown_probability"} <= set(table.columns)
    np.testing.assert_allclose(table[[f"prob_{name}" for name in classes]].sum(axis=1), 1, atol=1e-5)
    assert {name for names in table["set"] for name in names} <= set(classes)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("task=scope_table_xgb",), "tags do not exclude each other"),
        (("task=scope_xgb", "label=e", "task.stages.classify.module.types=false"), "stage classify of task=scope_xgb"),
        (("task=spectra", "+task.calibrator.scores=[softmax]"), "novelty score 'softmax' is not known"),
    ],
)  # fmt: skip
def test_what_cannot_be_calibrated_is_refused_before_training(words, reason, tmp_path):
    said = astro_lightning(*QUICK, CALIBRATOR, *words, folder=tmp_path, expect=2).stderr
    assert reason in said and "Traceback" not in said
    assert not list(tmp_path.glob("outputs/**/*.ckpt"))
