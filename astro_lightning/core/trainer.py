"""A Trainer with its loggers and callbacks, from plain containers."""

import importlib.util
import inspect
import logging
import netrc
import os
import secrets
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    RichModelSummary,
    RichProgressBar,
    TQDMProgressBar,
)
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from astro_lightning.core.compiled import Compile, check_compiler
from astro_lightning.core.csv_log import StageLog
from astro_lightning.core.model_checkpoint import ModelCheckpoint
from astro_lightning.core.provenance import read_kept, write_text
from astro_lightning.core.ranks import devices_wanted, own_rank
from astro_lightning.core.watch import DeviceMemory, EpochSeed, Throughput
from astro_lightning.core.whole import WholeCheckpoints
from astro_lightning.data.errors import BadInput

log = logging.getLogger(__name__)

# What a stage may give under `trainer` beside the Trainer's own settings: defaults for the callbacks.
CALLBACK_KEYS = ("patience", "ema_decay")


def check_accelerator(trainer: Mapping[str, Any]) -> None:
    """Say in one line that no accelerator is there, before anything is built.

    Raises:
        BadInput: A GPU was asked for and PyTorch sees none.
    """
    wanted = trainer["accelerator"]
    if wanted in ("gpu", "cuda") and not torch.cuda.is_available() and not torch.backends.mps.is_available():
        raise BadInput(
            "no GPU is visible to PyTorch: use trainer=cpu, or install a CUDA build of torch and check nvidia-smi"
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise BadInput("no Apple GPU is visible to PyTorch: use trainer=cpu")


def check_trainer_keys(stage: str, own: Mapping[str, Any]) -> None:
    """Whether a stage's own `trainer` holds the Trainer's settings and `CALLBACK_KEYS` alone.

    Raises:
        BadInput: A key is neither.
    """
    unknown = set(own) - set(inspect.signature(pl.Trainer).parameters) - {*CALLBACK_KEYS, "compile"}
    if unknown:
        key = f"task.stages.{stage}.trainer.{sorted(unknown)[0]}"
        raise BadInput(f"{key} is neither a setting of Lightning's Trainer nor {' or '.join(CALLBACK_KEYS)}")


def make_trainer(
    cfg: Mapping[str, Any],
    stage: Mapping[str, Any],
    folder: Path,
    further: list[pl.Callback],
    precision: str | None = None,
) -> pl.Trainer:
    """The Trainer of one stage.

    Args:
        cfg: The whole configuration, plain containers.
        stage: The stage's own block: `trainer`, `monitor`, `mode`.
        folder: The run folder.
        further: More callbacks.
        precision: What the module must have, whatever is asked for; None = as asked.
    """
    own = {key: value for key, value in stage.get("trainer", {}).items() if key not in CALLBACK_KEYS}
    chosen = {key: value for key, value in cfg["trainer"].items() if value is not None}
    quieten()
    debug = {key: value for key, value in (cfg.get("debug") or {}).items() if key != "overfit"}
    callbacks = [*make_callbacks(cfg, stage, folder / "checkpoints" / stage["name"]), *further]
    settings = {"num_sanity_val_steps": 0, "log_every_n_steps": 10, **own, **chosen, **debug}
    if settings["accelerator"] == "auto" and torch.backends.mps.is_available():
        settings["accelerator"] = "cpu"  # an Apple GPU knows no float64, in which periods and kernels are computed
    if settings.pop("compile", False):
        check_compiler(settings["accelerator"])
        callbacks.append(Compile())
    settings["precision"] = precision or settings.get("precision", "32-true")
    if settings["precision"] == "auto":
        settings["precision"] = fast_precision(settings["accelerator"])
    if settings["strategy"] == "fsdp":
        from astro_lightning.core.sharded import Sharded

        settings["strategy"] = Sharded(devices_wanted(settings) * settings["num_nodes"])
    loggers = make_loggers(cfg, stage["name"], folder)
    try:
        return pl.Trainer(
            **settings,
            default_root_dir=str(folder),
            logger=loggers,
            callbacks=callbacks,
            plugins=[WholeCheckpoints()],
            enable_progress_bar=cfg["callbacks"]["progress"] != "none",
            enable_model_summary=bool(cfg["callbacks"]["summary_depth"]),
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
        raise BadInput(f"the trainer's settings do not go together: {error}") from error


class WithoutVersion:
    """A progress bar without the logger's version, which here is the stage's name cut to four letters."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, pl_module)  # type: ignore[misc]
        return {name: value for name, value in shown.items() if name != "v_num"}


class RichBar(WithoutVersion, RichProgressBar):
    """Bars in colour."""


class PlainBar(WithoutVersion, TQDMProgressBar):
    """Bars in plain text."""


def quieten() -> None:
    """Keep the Trainer's advertisements and its warnings about itself from the user's terminal."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        ".*LeafSpec.*",
        ".*WeightAveraging callback with a model that overrides.*",
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*is not supported by the model summary.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def fast_precision(accelerator: str) -> str:
    """`bf16-mixed` where the device multiplies bfloat16 faster than float32, else `32-true`."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    found = [getattr(torch.cpu, f"_is_{name}_supported", lambda: False)() for name in ("avx512_bf16", "amx_tile")]
    return "bf16-mixed" if any(found) else "32-true"


def make_callbacks(cfg: Mapping[str, Any], stage: Mapping[str, Any], checkpoints: Path) -> list[pl.Callback]:
    """Checkpoints (best and last) and what watches the run."""
    chosen, own = cfg["callbacks"], stage.get("trainer", {})
    monitor, mode = stage["monitor"], stage["mode"]
    # Saved after the epoch has ended, validation included: a resumed run starts exactly there.
    callbacks: list[pl.Callback] = [
        EpochSeed(cfg["seed"]),
        ModelCheckpoint(
            dirpath=checkpoints,
            filename="best",
            monitor=monitor,
            mode=mode,
            every_n_epochs=_first(cfg["trainer"].get("check_val_every_n_epoch"), own.get("check_val_every_n_epoch"), 1),
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        ),
        ModelCheckpoint(
            dirpath=checkpoints,
            filename="last",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
            save_top_k=1,
        ),
    ]
    patience = _first(chosen["early_stopping"]["patience"], own.get("patience"))
    if patience:
        callbacks.append(EarlyStopping(monitor=monitor, mode=mode, patience=patience))
    decay = _first(chosen["ema"]["decay"], own.get("ema_decay"))
    if decay and cfg["trainer"]["strategy"] == "fsdp":
        log.warning("trainer=fsdp keeps no running mean of the weights (ema): a rank holds a part of them only")
    elif decay:
        callbacks.append(EMAWeightAveraging(decay=decay))
    if chosen["progress"] == "rich":
        callbacks.append(RichBar())
    elif chosen["progress"] == "plain":
        callbacks.append(PlainBar())
    if chosen["summary_depth"]:
        callbacks.append(RichModelSummary(max_depth=chosen["summary_depth"]))
    if chosen["lr_monitor"]:
        callbacks.append(LearningRateMonitor(logging_interval="epoch"))
    if chosen["throughput"]:
        callbacks.append(Throughput())
    if chosen["device_memory"]:
        callbacks.append(DeviceMemory())
    return callbacks


def make_loggers(cfg: Mapping[str, Any], stage: str, folder: Path) -> list[Logger]:
    """CSV always; Weights & Biases, TensorBoard, MLflow where chosen.

    Raises:
        BadInput: A package that a logger needs is not installed.
    """
    chosen = cfg["logger"]
    loggers: list[Logger] = [StageLog(folder, stage)]
    if chosen["wandb"]:
        loggers.append(_wandb(chosen["wandb"], cfg, stage, folder))
    if chosen["tensorboard"]:
        _need("tensorboard")
        from pytorch_lightning.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(folder, name="logs", version=stage))
        loggers[-1].log_hyperparams(dict(cfg))
    if chosen["mlflow"]:
        uri = chosen["mlflow"]["uri"] or f"sqlite:///{folder.parent.resolve()}/mlflow.db"
        _need("mlflow", *(("sqlalchemy", "alembic") if uri.startswith("sqlite:") else ()))
        from pytorch_lightning.loggers import MLFlowLogger

        loggers.append(
            MLFlowLogger(chosen["mlflow"]["experiment"], run_name=f"{folder.name}-{stage}", tracking_uri=uri)
        )
        loggers[-1].log_hyperparams(dict(cfg))
    return loggers


def _wandb(chosen: Mapping[str, Any], cfg: Mapping[str, Any], stage: str, folder: Path) -> Logger:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    kept = folder / "wandb_run_id"
    if own_rank() == 0 and not kept.exists():
        # An agent of a W&B sweep has given this process its run already.
        write_text(kept, os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4))
    offline = chosen["offline"]
    if offline is None:
        offline = not _has_key() and "WANDB_MODE" not in os.environ
    # One run per job: stages share it. Their steps all begin at 0, but each metric has a name of its own as in metrics.json,
    # `<stage>/val/loss`, and is drawn over the step logged with it.
    logger = WandbLogger(
        experiment=wandb.run,
        id=kept.read_text() if kept.exists() else None,  # the other ranks send nothing
        name=folder.name,
        save_dir=str(folder),
        project=chosen["project"],
        entity=chosen["entity"],
        group=chosen["group"] or read_kept(folder / "job.json").get("sweep"),
        tags=list(chosen["tags"]),
        offline=offline,
        prefix=stage,
        config=dict(cfg),
        resume=None if offline else "allow",
    )
    logger.LOGGER_JOIN_CHAR = "/"
    return logger


def _need(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"this logger needs {', '.join(missing)}: pip install 'astro-lightning[loggers]'")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
