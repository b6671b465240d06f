"""Boosting under the Trainer where several boosters grow together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xgboost as xgb
from torch import nn

from astro_lightning.core.loader import Batch
from astro_lightning.core.task import TaskModule
from astro_lightning.methods.boosted_trees import BoostedTrees


class BoostingModule(TaskModule):
    """An epoch adds `rounds_per_epoch` rounds to every booster at its first batch; other batches cost their loading.

    Args:
        rounds_per_epoch: Boosting rounds between validations.
        arguments: Of the next class in line.
    """

    def __init__(self, *, rounds_per_epoch: int = 50, **arguments: Any) -> None:
        super().__init__(rounds_per_epoch=rounds_per_epoch, **arguments)
        self.automatic_optimization = False
        # The Trainer counts optimizer steps; without one it would never save a checkpoint.
        self.step_counter = nn.Parameter(torch.zeros(1))
        self.matrices: list[xgb.QuantileDMatrix] = []

    def boosters(self) -> Sequence[BoostedTrees]:
        """What grows, in the order of `matrices`."""
        raise NotImplementedError

    @property
    def parameters_of_trees(self) -> dict[str, Any]:
        """XGBoost's parameters."""
        return {k: v for k, v in self.hparams["model"].items() if k != "_target_"}

    @property
    def bins(self) -> int:
        """Histogram bins; matrices and boosters must agree on them."""
        return int(self.hparams["model"].get("max_bin", 256))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Boosting rounds, at the only batch of an epoch."""
        for trees, matrix in zip(self.boosters(), self.matrices):
            trees.grow(matrix, self.hparams["rounds_per_epoch"])
        optimizer = self.optimizers()
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]

    def configure_optimizers(self) -> dict[str, Any]:
        """An optimizer of one parameter that no gradient ever reaches."""
        return {"optimizer": torch.optim.SGD([self.step_counter], lr=0.0)}

    def on_train_epoch_end(self) -> None:
        """No learning rate to lower."""
