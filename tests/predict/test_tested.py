"""The test split is scored as a new file is."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.errors import BadInput
from astro_lightning.predict import modes
from astro_lightning.predict.export import export_network
from astro_lightning.predict.score import Scorer
from astro_lightning.report.card import write_card
from astro_lightning.report.html import write_report
from astro_lightning.tasks.plasticc.module import FinetuneModule
from astro_lightning.tasks.scope.module import ScopeModule


@pytest.fixture
def regression(tmp_path, monkeypatch):
    """A run whose network gives a redshift and knows no class, and its configuration."""
    run = untrained(tmp_path, *TASKS["plasticc"])
    found = {
        "references": ("photoz",),
        "columns": lambda self, batch: {"z": torch.full((len(batch["row"]),), 0.5)},
        "score": classmethod(
            lambda kind, table, info: {"bias": float(np.nanmean(table["z"]) - np.nanmean(table["photoz"]))}
        ),
    }
    for name, value in found.items():
        monkeypatch.setattr(FinetuneModule, name, value)
    return run, yaml.safe_load((run / "config.yaml").read_text())


def test_numbers_are_measured_against_the_columns_that_the_task_names(regression, tmp_path, capsys):
    run, cfg = regression
    data = datamodule_of(cfg, "finetune")
    expected = 0.5 - np.nanmean(data.records.column("photoz")[data.splits["test"]])
    assert modes.test(cfg | {"ckpt": str(run)}, tmp_path / "test") == {"test/bias": pytest.approx(expected)}
    assert f"test/bias = {expected:.4f}" in capsys.readouterr().out
    assert "photoz" not in Scorer(run).predict(data.records).column_names


def test_report_and_card_show_numbers_of_a_task_without_classes(regression, tmp_path):
    run, cfg = regression
    metrics, _ = modes.test_run(cfg, run, run)
    (run / "metrics.json").write_text(json.dumps(metrics | {"finetune/speed/objects_per_s": 3}))
    page, card = write_report(run).read_text(), write_card(run).read_text()
    assert "Bias" in page and "By class" not in page and "Classes that overlap" in page
    assert "| test/bias |" in card and "speed" not in card and "states no quality" not in card


def test_a_network_without_classes_is_not_exported(regression, tmp_path):
    run, cfg = regression
    data, scorer = datamodule_of(cfg, "finetune"), Scorer(run)
    batches = [next(iter(scorer.batches(scorer.members[0], data.records, np.arange(3))))]
    with pytest.raises(BadInput, match="FinetuneModule gives no probability of a class"):
        export_network(scorer, batches, tmp_path / "network.pt2")


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
