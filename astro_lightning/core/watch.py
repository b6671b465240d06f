"""Callbacks that watch or steady a run: seeds per epoch, throughput, device memory."""

import random
import time
from typing import Any

import numpy as np
import psutil
import pytorch_lightning as pl
import torch


class EpochSeed(pl.Callback):
    """Seeds every training batch from (seed, step, rank), so that dropout in a resumed run repeats an unbroken one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators."""
        mixed = np.random.SeedSequence(
            [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        ).generate_state(1)[0]
        torch.manual_seed(int(mixed))
        random.seed(int(mixed))
        np.random.seed(int(mixed))  # noqa: NPY002  (third-party code draws from the global generator)


class Throughput(pl.Callback):
    """Logs objects/s, tokens/s and the share of an epoch spent waiting for data."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = self._end = time.perf_counter()
        self._waited, self._objects = _waited(trainer), 0
        self._tokens: int | torch.Tensor = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        self._objects += len(batch["row"])
        # A batch of sequences says by its mask which positions are real; read at the end, for a read waits for the device.
        self._tokens = self._tokens + batch["mask"].sum() if "mask" in batch else self._tokens

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note when the step ended."""
        self._end = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the rates."""
        seconds = max(self._end - self._start, 1e-9)
        share = (_waited(trainer) - self._waited) / seconds
        rates = {"speed/objects_per_s": self._objects / seconds, "speed/waiting_share": share}
        if tokens := int(self._tokens):
            rates["speed/tokens_per_s"] = tokens / seconds
        pl_module.log_dict(rates, rank_zero_only=True)


def _waited(trainer: pl.Trainer) -> float:
    # Batches that a module keeps, such as those of boosted trees, wait for nothing.
    return getattr(trainer.train_dataloader, "waited_s", 0.0)


class DeviceMemory(pl.Callback):
    """Logs memory: a GPU's peak in this stage, or on a processor what the process holds at the end of an epoch."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the stages before."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        on_gpu = pl_module.device.type == "cuda"
        held = torch.cuda.max_memory_allocated(pl_module.device) if on_gpu else psutil.Process().memory_info().rss
        pl_module.log("speed/memory_gib", held / 2**30, rank_zero_only=True)
