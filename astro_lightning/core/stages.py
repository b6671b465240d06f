"""A run is a list of stages; a stage is one data module, one module, one Trainer call."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from astro_lightning.core.build import build
from astro_lightning.core.checkpoint import KEY, Identity, read_checkpoint
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.optim import settings
from astro_lightning.core.provenance import read_kept, write_json
from astro_lightning.core.task import TaskModule, count_parameters
from astro_lightning.core.trainer import check_trainer_keys, make_trainer
from astro_lightning.core.values import check_plain
from astro_lightning.data.errors import BadInput

log = logging.getLogger(__name__)

Artefacts = dict[str, str]
COUNTERS = ("val/epoch", "val/rounds", "val/steps")  # monitors that keep the last weights
KEYS = {
    "datamodule",
    "module",
    "model",
    "trainer",
    "optimizer",
    "monitor",
    "mode",
    "takes",
    "predicts",
    "batch_size",
}


def stages_of(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages of a task, in order, each with its name and defaults filled in.

    `task.stages` maps a name to a block; or is a `_target_` block of a function that takes the configuration and returns such
    a mapping (folds, labels, rounds). A block that is null is left out.

    Raises:
        BadInput: There is no stage, or one, its optimiser or its Trainer has a key that is none of theirs. Later stages are
            checked too, before the first one trains.
    """
    blocks = cfg["task"]["stages"]
    if "_target_" in blocks:
        blocks = build(blocks, cfg=cfg)
    blocks = {name: block for name, block in blocks.items() if block is not None}
    if not blocks:
        raise BadInput("task.stages: all of them are null; leave one")
    stages = []
    for i, (name, block) in enumerate(blocks.items()):
        unknown = set(block) - KEYS
        if unknown:
            raise BadInput(
                f"task.stages.{name}.{sorted(unknown)[0]} is not a key of a stage; these are: {', '.join(sorted(KEYS))}"
            )
        if block.get("mode") not in (None, "min", "max"):
            raise BadInput(f"task.stages.{name}.mode={block['mode']}: give min or max")
        settings(block.get("optimizer") or {})
        check_trainer_keys(name, block.get("trainer") or {})
        stages.append(
            {
                "name": name,
                "monitor": "val/loss",
                "mode": "min",
                "takes": {},
                "optimizer": {},
                "trainer": {},
                "predicts": i == len(blocks) - 1,
                **{key: value for key, value in block.items() if value is not None},
            }
        )
    return stages


def make_datamodule(cfg: Mapping[str, Any], stage: Mapping[str, Any]) -> RecordsData:
    """The stage's data module."""
    sizes = [size for size in (cfg["batch_size"], stage.get("batch_size")) if size is not None]
    return build(
        stage["datamodule"],
        data=cfg["data"],
        cache=cfg["paths"]["cache"],
        seed=cfg["seed"],
        workers=cfg["workers"],
        simulate=cfg["task"].get("simulate"),
        **({"batch_size": sizes[0]} if sizes else {}),
    )


def datamodule_of(cfg: Mapping[str, Any], name: str) -> RecordsData:
    """The data module of the stage of this name, set up.

    Raises:
        BadInput: The task has no such stage.
    """
    stage = next((stage for stage in stages_of(cfg) if stage["name"] == name), None)
    if stage is None:
        raise BadInput(
            f"the checkpoint is of stage {name}, which task={cfg['task']['name']} has not: choose its task, or give data.path"
        )
    datamodule = make_datamodule(cfg, stage)
    datamodule.setup()
    return datamodule


def make_module(cfg: Mapping[str, Any], stage: Mapping[str, Any], info: dict[str, Any]) -> TaskModule:
    """The stage's module; initial weights follow the run's seed."""
    check_plain(info, "info")
    pl.seed_everything(cfg["seed"], verbose=False)
    optimizer = {**stage["optimizer"], **{key: value for key, value in cfg["optimizer"].items() if value is not None}}
    return build(
        stage["module"],
        model=stage.get("model") or cfg["model"],
        optimizer=optimizer,
        info=info,
        monitor=stage["monitor"],
        mode=stage["mode"],
    )


def identity_of(
    cfg: Mapping[str, Any], stage: Mapping[str, Any], module: TaskModule, datamodule: RecordsData
) -> Identity:
    """The callback without which no checkpoint of a Trainer scores."""
    return Identity(
        {
            "task": cfg["task"]["name"],
            "stage": stage["name"],
            "module": f"{type(module).__module__}.{type(module).__qualname__}",
            "datamodule": f"{type(datamodule).__module__}.{type(datamodule).__qualname__}",
            "batch_size": datamodule.batch_size,
        },
        datamodule.train_hashes(),
    )


def run_stage(cfg: Mapping[str, Any], stage: dict[str, Any], folder: Path, artefacts: Artefacts) -> dict[str, float]:
    """Run one stage, or take it from the run folder where it is already done; artefacts grow by what it hands over.

    Artefacts are named `<stage>/<what>`; every stage hands over `<stage>/checkpoint`. `takes` maps a key of the stage's
    own blocks, such as `module.backbone`, to the artefact of an earlier stage.

    Returns:
        The stage's last validation metrics.
    """
    if is_done(stage, folder):
        kept = read_kept(_done(stage, folder))
        artefacts.update({name: str(folder / path) for name, path in kept["artefacts"].items()})
        return kept["metrics"]
    trial = is_trial(cfg)
    stage = take(stage, artefacts)
    datamodule = _data_to_train_on(cfg, stage)
    module = make_module(cfg, stage, datamodule.info())
    identity = identity_of(cfg, stage, module, datamodule)
    trainer = make_trainer(cfg, stage, folder, [identity], module.precision)
    checkpoints = folder / "checkpoints" / stage["name"]
    rate = settings(module.hparams["optimizer"])["lr"]
    rank = f"rank {trainer.global_rank} of {trainer.world_size}, " if trainer.world_size > 1 else ""
    counts = [len(datamodule.splits.get(part, ())) for part in ("train", "val")]
    log.info("stage %s: %d objects to train on, %d to validate, %slearning rate %g", stage["name"], *counts, rank, rate)
    last = checkpoints / "last.ckpt"
    if last.exists():
        try:
            content = read_checkpoint(last)
        except BadInput as error:
            raise BadInput(f"{error}; without it stage {stage['name']} begins anew") from error
        _check_objects(last, content, identity.train_hashes)
    try:
        trainer.fit(module, datamodule, ckpt_path=str(last) if last.exists() else None)
    except MisconfigurationException as error:  # a monitor that the stage does not log, a limit that fits no batch
        raise BadInput(f"stage {stage['name']}: {error}") from error
    except TypeError as error:
        if trainer.strategy.root_device.type == "cpu" or "float64" not in str(error):
            raise
        raise BadInput(f"stage {stage['name']} needs float64, which this device has not: use trainer=cpu") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise BadInput(
            f"stage {stage['name']}: {str(error).partition('. ')[0]}; see that memory and /dev/shm suffice for "
            f"workers={cfg['workers']}, or start a run with fewer (0 needs neither)"
        ) from error
    except SystemExit:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from None
    if trial:
        trainer.save_checkpoint(last)  # the Trainer keeps none of a trial run, and a later stage may take it
    best = checkpoints / ("best.ckpt" if (checkpoints / "best.ckpt").exists() else "last.ckpt")
    handed = {f"{stage['name']}/checkpoint": str(best)} if best.exists() else {}
    handed |= {
        f"{stage['name']}/{name}": str(path) for name, path in module.hand_over(best, datamodule, folder).items()
    }
    metrics = best_metrics(trainer, stage)
    if module.automatic_optimization:  # the one parameter of what is not descended counts the Trainer's steps
        metrics["parameters"] = count_parameters(module)
    artefacts.update(handed)
    trainer.strategy.barrier()
    if trainer.is_global_zero and best.exists() and not trial:
        # Relative to the run folder, which may be moved before it is resumed.
        inside = {name: Path(os.path.relpath(path, folder)).as_posix() for name, path in handed.items()}
        write_json(_done(stage, folder), {"artefacts": inside, "metrics": metrics})
    return metrics


def _done(stage: Mapping[str, Any], folder: Path) -> Path:
    return folder / "checkpoints" / stage["name"] / "done.json"


def is_done(stage: Mapping[str, Any], folder: Path) -> bool:
    """Whether the stage need not run again."""
    return _done(stage, folder).exists()


def check_data(cfg: Mapping[str, Any], stage: dict[str, Any], artefacts: Artefacts) -> None:
    """Whether the data still hold what a stage that is done was trained on, before the stages behind it go on.

    Raises:
        BadInput: They hold other objects.
    """
    path = Path(artefacts[f"{stage['name']}/checkpoint"])
    hashes = _data_to_train_on(cfg, take(stage, artefacts)).train_hashes()
    _check_objects(path, read_checkpoint(path), torch.from_numpy(hashes.view(np.int64)))


def _data_to_train_on(cfg: Mapping[str, Any], stage: Mapping[str, Any]) -> RecordsData:
    datamodule = make_datamodule(cfg, stage)
    if (cfg.get("debug") or {}).get("overfit"):
        datamodule.keep_batches(cfg["debug"]["overfit"])
    return datamodule


def _check_objects(path: Path, content: Mapping[str, Any], train_hashes: torch.Tensor) -> None:
    if not torch.equal(content[KEY]["train_hashes"], train_hashes):
        raise BadInput(
            f"{path} was trained on other objects than the data now hold: put the files back as they were, or start a new run"
        )


def is_trial(cfg: Mapping[str, Any]) -> bool:
    """Whether the run takes one batch of each stage and keeps nothing (`debug=fast_dev_run`)."""
    return bool((cfg.get("debug") or {}).get("fast_dev_run"))


def take(stage: dict[str, Any], artefacts: Artefacts) -> dict[str, Any]:
    """The stage with the artefacts it takes filled in."""
    filled = {key: dict(value) if isinstance(value, dict) else value for key, value in stage.items()}
    for where, what in stage["takes"].items():
        block, _, key = where.partition(".")
        if what not in artefacts:
            raise BadInput(
                f"stage {stage['name']} takes {what}, which no stage before hands over; there are: {', '.join(artefacts) or 'none'}"
            )
        filled[block][key] = artefacts[what]
    return filled


def sought(stages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Name and mode of what a sweep compares: the last stage's monitor, or the validation loss where that only counts epochs."""
    last = [stage for stage in stages if stage["predicts"]][-1]
    return ("val/loss", "min") if last["monitor"] in COUNTERS else (last["monitor"], last["mode"])


def objective(stages: Sequence[Mapping[str, Any]], metrics: Mapping[str, float]) -> dict[str, Any]:
    """What a sweep compares, for `job.json`: the mean over the predicting stages (folds, heads) that have it.

    Args:
        stages: As `stages_of` gives them.
        metrics: `<stage>/best/<monitor>` of the kept weights; of the last epoch's, `<stage>/val/loss`.

    Returns:
        `objective` (NaN where nothing was validated), `monitor` and `mode`.
    """
    monitor, mode = sought(stages)
    predicting = [stage for stage in stages if stage["predicts"]]
    names = [f"{s['name']}/{'' if s['monitor'] in COUNTERS else 'best/'}{monitor}" for s in predicting]
    values = [metrics[name] for name in names if name in metrics]
    return {"objective": sum(values) / len(values) if values else float("nan"), "monitor": monitor, "mode": mode}


def best_metrics(trainer: pl.Trainer, stage: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of the last epoch, and the best value of the stage's monitor."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if not name.startswith("speed/")}
    for callback in trainer.checkpoint_callbacks:
        score = getattr(callback, "best_model_score", None)
        if getattr(callback, "monitor", None) and score is not None:
            metrics[f"best/{stage['monitor']}"] = float(score)
    return metrics | {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("speed/")}
