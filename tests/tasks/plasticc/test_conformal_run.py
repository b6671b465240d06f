"""Conformal inference from training to the predictions, on the twin."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import TINY, astro_lightning, run_folder

from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.plasticc.simulate import simulate

CLASSES = ["16", "65", "90"]


@pytest.mark.slow
def test_sets_hold_the_truth_as_often_as_asked_and_unknown_kinds_have_small_p_values(tmp_path):
    words = (
        "task.calibrator.alpha=0.2",
        "data.split={train:0.4,val:0.1,calibration:0.3,test:0.2}",
        "data.simulation.n_objects=900",
        "+task.simulate.classes=[16,65,90]",
        "trainer.max_epochs=3",
    )
    astro_lightning("task=plasticc_finetune", *TINY, *words, folder=tmp_path)
    run = run_folder(tmp_path, "plasticc_finetune")
    table = pq.read_table(run / "predictions.parquet").to_pandas()
    expected = {"id", "label", "set", "ood_p", "ood_flag", "prob_99"}
    assert expected | {f"{kind}_{name}" for kind in ("prob", "p") for name in CLASSES} == set(table.columns)
    covered = np.mean([label in found for label, found in zip(table["label"], table["set"])])
    assert 0.7 < covered < 0.93, covered  # 180 objects at 0.8: five standard errors

    strange = simulate(n_objects=400, seed=5, unseen_fraction=1.0)
    scores = Scorer(run).predict_table(strange).to_pandas()
    assert scores["ood_p"].median() < table["ood_p"].median()
    assert json.loads((run / "metrics.json").read_text())["test/n"] == len(table)
