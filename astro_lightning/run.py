"""The whole story of one run: check -> stages -> test -> report; and the other modes over a checkpoint."""

import json
import logging
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from astro_lightning.data.errors import BadInput
from astro_lightning.data.memory import memory_suffices

log = logging.getLogger(__name__)

MODES = ("fit", "validate", "test", "predict", "embed", "calibrate", "export")


@memory_suffices()
def run(cfg: dict[str, Any], folder: Path, resuming: bool = False) -> dict[str, Any]:
    """Do what the configuration says.

    Args:
        cfg: The composed configuration in plain containers.
        folder: The run folder; made here.
        resuming: The folder's run is meant; else a folder that holds one is refused, so that nothing goes on in silence.

    Returns:
        The metrics written to `metrics.json` (fit, validate, test), else an empty dict.

    Raises:
        BadInput: The configuration, the data or the checkpoint cannot be used.
    """
    from astro_lightning.core.provenance import asked, write_json, write_text
    from astro_lightning.core.ranks import own_rank, processes_wanted, start_ranks
    from astro_lightning.core.trainer import check_accelerator
    from astro_lightning.core.values import check_values
    from astro_lightning.data.alone import alone

    if cfg["mode"] not in MODES:
        raise BadInput(f"mode={cfg['mode']} is unknown; choose {', '.join(MODES)}")
    check_values(cfg)
    if cfg["data"].get("root"):  # a run may be tested from another folder
        cfg["data"]["root"] = str(Path(str(cfg["data"]["root"])).expanduser().absolute())
    check_accelerator(cfg["trainer"])
    if cfg["mode"] == "fit" and (cfg["ckpt"] or cfg["out"]):
        raise BadInput(
            "ckpt= and out= are of a trained run: give mode=predict (validate, test, embed, calibrate, export), or leave them out"
        )
    if cfg["mode"] == "fit" and cfg["data"].get("path"):
        raise BadInput(
            "data.path= is what a finished run scores (mode=predict); to train, give data=SURVEY data.root=FOLDER"
        )
    if cfg["mode"] != "fit" and (folder / "checkpoints").exists():
        raise BadInput(f"{folder} holds a run, which mode={cfg['mode']} would write over: choose another hydra.run.dir")
    folder.mkdir(parents=True, exist_ok=True)
    if cfg["mode"] != "fit":
        from astro_lightning.predict import modes

        return getattr(modes, cfg["mode"])(modes.as_trained(cfg, asked()["overrides"]), folder)
    n = processes_wanted(cfg["trainer"])
    with alone(folder / ".lock", folder) if own_rank() == 0 and n == 1 else nullcontext():
        if not resuming and own_rank() == 0:
            if (folder / "checkpoints").exists() or (folder / "metrics.json").exists():
                raise BadInput(
                    f"{folder} holds a run already: go on with resume={folder}, "
                    "or choose another hydra.run.dir (in a sweep hydra.sweep.dir)"
                )
            for left in ("logs", "plots", "examples"):  # of a run that was stopped before its first checkpoint
                shutil.rmtree(folder / left, ignore_errors=True)
            write_json(folder / "job.json", asked())
            write_text(folder / "config.yaml", yaml.safe_dump(cfg, sort_keys=False))
        if own_rank() == 0:
            log.info("run folder: %s", folder)
        try:
            if n == 1:
                return fit(cfg, folder, resuming)
            start_ranks(folder, n)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"go on with resume={folder}") from None
    found = [folder / name for name in ("metrics.json", "job.json") if (folder / name).exists()]
    return {key: value for path in found for key, value in json.loads(path.read_text()).items()}


def fit(cfg: dict[str, Any], folder: Path, resuming: bool = False) -> dict[str, Any]:
    """Run the stages that are not yet done, test what they made on objects that no stage trained on, write the report."""
    from pytorch_lightning.utilities import rank_zero_only

    from astro_lightning.core.checkpoint import REFIT
    from astro_lightning.core.provenance import provenance, read_kept, write_json
    from astro_lightning.core.stages import is_trial, objective, stages_of
    from astro_lightning.predict.early import predict_early
    from astro_lightning.predict.modes import test_run
    from astro_lightning.report.table import print_metrics

    start = time.time()
    again = with_tested(cfg) if cfg.get("refit") else None
    try:
        metrics = train(cfg, folder)
        if again and not is_trial(cfg):
            train(again, folder / REFIT)
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
            return metrics
        if is_trial(cfg):
            shutil.rmtree(folder / "checkpoints")
            return metrics
        tested, info = test_run(cfg, folder, folder)
        metrics |= tested
        if cfg["task"].get("early_days"):
            predict_early(cfg, folder, cfg["task"]["early_days"])
        found = objective(stages_of(cfg), metrics)
        job = read_kept(folder / "job.json") | found
        seconds = None if resuming else time.time() - start  # the last part alone is not what it took
        about = provenance(cfg["seed"], job["command"]) | {"seconds": seconds, "data": info}
        write_json(folder / "provenance.json", about)
        write_json(folder / "job.json", job)
        write_json(folder / "metrics.json", metrics)
        if cfg["report"]:
            from astro_lightning.report.card import write_card
            from astro_lightning.report.html import write_report

            write_report(folder)
            write_card(folder)
        finish_loggers(cfg, folder, metrics)
        write_json(folder / "job.json", job | {"finished": True})
        print_metrics(metrics, folder)
        return metrics | found
    finally:
        close_loggers(cfg)


def train(cfg: dict[str, Any], folder: Path) -> dict[str, float]:
    """Run the stages that are not yet done; say in the folder which of them score, and calibrate those.

    Returns:
        Last validation metrics, `<stage>/<metric>`.
    """
    from pytorch_lightning.utilities import rank_zero_only

    from astro_lightning.core.provenance import write_json
    from astro_lightning.core.stages import Artefacts, check_data, is_done, is_trial, run_stage, stages_of
    from astro_lightning.predict.calibrate import calibrate, check_calibrator
    from astro_lightning.predict.modes import run_device

    check_calibrator(cfg)
    stages, artefacts = stages_of(cfg), Artefacts()
    metrics: dict[str, float] = {}
    taken = [stage for stage in stages if is_done(stage, folder)]
    for before, stage in zip([None, *stages], stages, strict=False):
        if before in taken and stage not in taken:
            check_data(cfg, before, artefacts)
        found = run_stage(cfg, stage, folder, artefacts)
        metrics |= {f"{stage['name']}/{name}": value for name, value in found.items()}
    if rank_zero_only.rank == 0 and not is_trial(cfg):  # type: ignore[attr-defined]
        files = [Path(artefacts[f"{stage['name']}/checkpoint"]) for stage in stages if stage["predicts"]]
        write_json(folder / "checkpoints" / "predicting.json", [file.relative_to(folder).as_posix() for file in files])
        calibrate(cfg, folder, run_device(cfg))
    return metrics


def with_tested(cfg: dict[str, Any]) -> dict[str, Any]:
    """The same training, the test's share of the objects given to it, for `refit`; kept out of the metric services.

    Raises:
        BadInput: The objects are in folds, so that all are trained on already.
    """
    from astro_lightning.core.stages import stages_of

    if any(stage["datamodule"].get("n_folds") for stage in stages_of(cfg)):
        raise BadInput("refit=true: the folds of this task train on all objects already; leave it out")
    split = cfg["data"]["split"]
    split = {**split, "train": split["train"] + split["test"], "test": 0.0}
    data = {**cfg["data"], "split": split, "train_column": None}
    return {**cfg, "data": data, "logger": dict.fromkeys(cfg["logger"])}


def finish_loggers(cfg: dict[str, Any], folder: Path, metrics: dict[str, float]) -> None:
    """Final metrics and pictures to the loggers that keep them, under names that line up between tasks."""
    if cfg["logger"]["wandb"]:
        from astro_lightning.report.wandb_summary import log_summary

        log_summary(folder, metrics)


def close_loggers(cfg: dict[str, Any]) -> None:
    """One W&B run per job: close it whatever happened, or the next job of a sweep would write into it."""
    if cfg["logger"]["wandb"]:
        import wandb

        wandb.finish()
