"""The test split is scored as a new file is."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.stages import datamodule_of
from astro_lightning.predict import modes
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.scope.module import ScopeModule


def test_columns_that_follow_from_all_members_are_made_of_their_mean(tmp_path):
    run = untrained(tmp_path, *TASKS["frames"][:-1], "task.heads=[attention,tcn]")
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    metrics, _ = modes.test_run(cfg, run, tmp_path / "test")
    found = pq.read_table(tmp_path / "test" / "predictions.parquet")
    data = datamodule_of(cfg, "attention_fold0")
    expected = Scorer(run).predict(data.records, data.splits["test"])
    assert len(Scorer(run).members) == 2 and found.select(expected.column_names).equals(expected)
    by_mean = np.where(found["prob_artefact"].to_numpy() > found["threshold"].to_numpy(), "artefact", "other")
    assert found["decision"].to_pylist() == by_mean.tolist()
    assert metrics["test/accuracy_at_threshold"] == np.mean(by_mean == found["label"].to_numpy())


def test_objects_of_several_folds_are_each_tested_by_their_own(tmp_path):
    run = untrained(tmp_path, *TASKS["frames"][:-2], "task.folds=[0,1]", "task.heads=[attention]")
    cfg = yaml.safe_load((run / "config.yaml").read_text())
    modes.test_run(cfg, run, tmp_path / "test")
    found = pq.read_table(tmp_path / "test" / "predictions.parquet").drop_columns(["label", "group"])
    start = 0
    for fold, name in enumerate(("attention_fold0", "attention_fold1")):
        data = datamodule_of(cfg, name)
        rows = data.splits["test"]
        own = found.slice(start, len(rows)).select(["id", "threshold", "decision"])
        alone = Scorer(run / "checkpoints" / name / "best.ckpt").predict(data.records, rows)
        assert own.equals(alone.select(own.column_names)), fold
        start += len(rows)
    assert start == len(found)


def test_a_column_that_has_no_mean_is_the_first_networks():
    scorer = object.__new__(Scorer)
    scorer.members = [SimpleNamespace(module=ScopeModule)]
    members = [{"period": np.array([p]), "prob_e": np.array([p])} for p in (0.5, 1.0)]
    assert scorer._merged(members) == {"period": np.array([0.5]), "prob_e": np.array([0.75])}
