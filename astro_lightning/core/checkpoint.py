"""Checkpoints that can be trusted: plain content only, complete enough to score a file with nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from astro_lightning.core.build import class_of
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.provenance import read_kept
from astro_lightning.core.task import TaskModule
from astro_lightning.core.whole import load_whole
from astro_lightning.data.errors import BadInput

KEY = "astro_lightning"
REFIT = "refit"  # folder of a run that trained once more


class Identity(pl.Callback):
    """Writes into every checkpoint what it is: task, stage, classes to build, hashes of the training objects."""

    def __init__(self, identity: Mapping[str, Any], train_hashes: np.ndarray) -> None:
        self.identity = dict(identity)
        self.train_hashes = torch.from_numpy(train_hashes.view(np.int64).copy())

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the identity."""
        checkpoint[KEY] = {**self.identity, "train_hashes": self.train_hashes}


@dataclass
class Restored:
    """A checkpoint brought back to life.

    Attributes:
        module: In evaluation mode, weights loaded.
        datamodule: Class that makes its batches.
        info: What its data module had learned from the training data.
        identity: Task, stage, targets.
        train_hashes: uint64 content hashes of the training objects, ascending.
    """

    module: TaskModule
    datamodule: type[RecordsData]
    info: dict[str, Any]
    identity: dict[str, Any]
    train_hashes: np.ndarray


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file; code inside it is never run.

    Raises:
        BadInput: No such file, cut short, or not written by this framework.
    """
    if not path.is_file():
        raise BadInput(f"checkpoint {path} does not exist: give a .ckpt file or a run folder")
    try:
        content = load_whole(path)
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0] or "it is empty"
        raise BadInput(
            f"checkpoint {path} cannot be read ({reason}): it is cut short or damaged, or holds more than plain numbers"
        ) from error
    if not isinstance(content, dict) or not {KEY, "hyper_parameters", "state_dict"} <= content.keys():
        raise BadInput(f"checkpoint {path} was not written by Astro Lightning: the keys of its checkpoints are missing")
    return content


def read_weights(path: Path, part: str = "network.") -> dict[str, torch.Tensor]:
    """Weights of one part of a checkpoint's module, named as within that part."""
    state = read_checkpoint(path)["state_dict"]
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}


def restore(path: Path) -> Restored:
    """Rebuild module and batch maker from a checkpoint alone.

    Raises:
        BadInput: As `read_checkpoint`; or it names as module, network or data module what is none, or does not fit its network.
    """
    content = read_checkpoint(path)
    identity = content[KEY]
    if network := (content["hyper_parameters"]["model"] or {}).get("_target_"):
        class_of(network, nn.Module)
    module = class_of(identity["module"], TaskModule)(**content["hyper_parameters"])
    module.configure_model()
    if hasattr(module, "on_restore"):
        module.on_restore(content)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise BadInput(f"checkpoint {path} does not fit its network: {str(error).splitlines()[-1].strip()}") from error
    module.eval()
    datamodule = class_of(identity["datamodule"], RecordsData)
    hashes = np.sort(identity["train_hashes"].numpy().view(np.uint64))
    return Restored(module, datamodule, content["hyper_parameters"]["info"], identity, hashes)


def scoring_folder(path: Path) -> Path:
    """Where a run keeps what scores new files: its refit where it has one, else itself (or the checkpoint file)."""
    return path / REFIT if (path / REFIT / "checkpoints" / "predicting.json").is_file() else path


def predicting_checkpoints(path: Path) -> list[Path]:
    """The checkpoints that score for a file or a run folder: the file itself, or the best of each predicting stage.

    Raises:
        BadInput: The folder holds no finished run.
    """
    if path.is_dir():
        index = path / "checkpoints" / "predicting.json"
        if not index.is_file():
            raise BadInput(f"{path} is not a finished run: {index} is missing; finish it with resume={path}")
        return [path / name for name in read_kept(index)]
    read_checkpoint(path)
    return [path]
