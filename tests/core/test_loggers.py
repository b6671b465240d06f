import csv
import json
import sqlite3
import struct

import pytest
from command import TINY, astro_lightning

from astro_lightning.core.csv_log import StageLog
from astro_lightning.core.trainer import make_loggers
from astro_lightning.data.errors import BadInput
from astro_lightning.report.wandb_summary import log_summary

STAGES = ("pretrain", "finetune")


def records(path):
    """Records of a W&B file: a log in blocks of 32 KiB (as LevelDB's), each record split at the ends of blocks."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = path.read_bytes(), 7, b""
    while place < len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def items(of):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in of}


def wandb_runs(folder):
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both stages with all loggers at once, without a key."""
    folder = tmp_path_factory.mktemp("loggers")
    astro_lightning("task=plasticc", *TINY, "logger=many", folder=folder)
    (config,) = folder.glob("outputs/plasticc/*/config.yaml")
    return config.parent


@pytest.mark.slow
def test_a_job_of_two_stages_is_one_wandb_run(run):
    assert len(wandb_runs(run)) == 1
    read = list(records(wandb_runs(run)[0]))
    assert sum(record.HasField("run") for record in read) == 1
    assert [record for record in read if record.HasField("exit")][-1].exit.exit_code == 0


@pytest.mark.slow
def test_the_wandb_summary_holds_the_metrics_of_the_run(run):
    summary = {}
    for record in records(wandb_runs(run)[0]):
        if record.HasField("summary"):
            summary |= items(record.summary.update)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics.items() <= summary.items()
    assert summary["val/macro_f1"] == metrics["finetune/val/macro_f1"]
    assert summary["test/weighted_log_loss"] > 0


@pytest.mark.slow
def test_the_wandb_run_keeps_pictures_curves_and_the_runs_own_configuration(run):
    logged, config = {}, {}
    for record in records(wandb_runs(run)[0]):
        logged |= items(record.history.item)
        config |= items(record.config.update)
    pictures = {f"plots/{path.stem}" for path in (run / "plots").glob("*.png")}
    assert {"plots/light_curves", "plots/embedding", "plots/confusion"} <= pictures
    tables = {"test/confusion_matrix_table", "test/roc_table", "test/precision_recall_table"}
    kinds = {name.removesuffix("/_type"): kind for name, kind in logged.items() if name.endswith("/_type")}
    assert {name for name, kind in kinds.items() if kind == "image-file"} == pictures
    assert {name for name, kind in kinds.items() if kind == "table-file"} == tables
    assert kinds["model_card"] == "html-file"
    assert config["optimizer"]["lr"] is None, "a stage's own optimiser stands where the run's should"
    media = wandb_runs(run)[0].parent / "files"
    rows = json.loads((media / logged["test/confusion_matrix_table/path"]).read_text())["data"]
    assert sum(row[2] for row in rows) == json.loads((run / "metrics.json").read_text())["test/n"]


@pytest.mark.slow
def test_each_stage_is_drawn_over_its_own_steps(run):
    steps = {stage: [] for stage in STAGES}
    for record in records(wandb_runs(run)[0]):
        row = items(record.history.item)
        for stage in STAGES:
            if f"{stage}/val/loss" in row:
                steps[stage].append(row["trainer/global_step"])
    assert all(len(found) == 2 and found == sorted(set(found)) for found in steps.values()), steps


@pytest.mark.slow
def test_the_other_loggers_leave_their_files(run):
    for stage in STAGES:
        assert (run / "logs" / stage / "metrics.csv").stat().st_size
        assert list((run / "logs" / stage).glob("events.out.tfevents.*"))
    with sqlite3.connect(run.parent / "mlflow.db") as database:
        names = {name for (name,) in database.execute("select name from runs")}
        keys = {key for (key,) in database.execute("select key from metrics")}
        settings = set(database.execute("select key, value from params"))
    assert names == {f"{run.name}-{stage}" for stage in STAGES}
    assert {"train/accuracy", "val/loss", "val/macro_f1"} <= keys
    assert {("seed", "0"), ("model/d_model", "16"), ("data/name", "simulated")} <= settings


@pytest.mark.slow
def test_each_job_of_a_sweep_is_a_wandb_run_of_one_group(tmp_path):
    sweep = tmp_path / "night"  # a folder of the user's own
    words = ("-m", "task=plasticc_finetune", *TINY, "report=false", "logger=wandb", f"hydra.sweep.dir={sweep}")
    astro_lightning(*words, "seed=0,1", folder=tmp_path)
    found = [
        next(record.run for record in records(path) if record.HasField("run"))
        for path in sorted(sweep.glob("*/wandb/*/*.wandb"))
    ]
    assert len({one.run_id for one in found}) == 2
    assert {one.run_group for one in found} == {sweep.name}


def test_a_summary_without_an_open_run_does_nothing(tmp_path):
    log_summary(tmp_path, {"test/accuracy": 1.0})
    assert not list(tmp_path.iterdir())


def test_a_logger_whose_package_is_missing_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cfg = {"logger": {"wandb": None, "tensorboard": True, "mlflow": None}}
    with pytest.raises(BadInput, match=r"tensorboard: pip install 'astro-lightning\[loggers\]'"):
        make_loggers(cfg, "fit", tmp_path)


def test_a_stage_that_goes_on_keeps_what_it_logged_before(tmp_path):
    def rows():
        return list(csv.DictReader((tmp_path / "logs" / "a" / "metrics.csv").open(newline="")))

    for first, last in ((0, 5), (3, 7)):  # the first was interrupted behind the checkpoint from which the second begins
        log = StageLog(tmp_path, "a")
        for step in range(first, last):
            log.log_metrics({"train/loss": first + 1.0} | ({"val/loss": 2.0} if step == 6 else {}), step)
            log.save()
    assert [int(row["step"]) for row in rows()] == list(range(7))
    assert [float(row["train/loss"]) for row in rows()] == [1, 1, 1, 4, 4, 4, 4] and rows()[6]["val/loss"] == "2.0"
    log = StageLog(tmp_path, "a")
    log.log_metrics({"train/loss": 9.0}, 0)  # begun anew
    log.save()
    assert [row["train/loss"] for row in rows()] == ["9.0"]
