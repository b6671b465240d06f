"""Boosting under the Trainer where several boosters grow together."""

from __future__ import annotations

from typing import Any

import xgboost as xgb

from astro_lightning.core.loader import Batch
from astro_lightning.methods.boosted_trees import BoostedTrees
from astro_lightning.methods.gradient_free import GradientFreeModule


class BoostingModule(GradientFreeModule):
    """An epoch adds `rounds_per_epoch` rounds to every booster at its first batch; other batches cost their loading.

    Args:
        rounds_per_epoch: Boosting rounds between validations.
        arguments: Of the next class in line.
    """

    def __init__(self, *, rounds_per_epoch: int = 50, **arguments: Any) -> None:
        super().__init__(rounds_per_epoch=rounds_per_epoch, **arguments)
        self.matrices: list[xgb.QuantileDMatrix] = []

    def boosters(self) -> list[BoostedTrees]:
        """What grows, in the order of `matrices`."""
        return [part for part in self.network.modules() if isinstance(part, BoostedTrees)]

    @property
    def bins(self) -> int:
        """Histogram bins; matrices and boosters must agree on them."""
        return int(self.hparams["model"].get("max_bin", 256))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Boosting rounds, at the only batch of an epoch."""
        for trees, matrix in zip(self.boosters(), self.matrices):
            trees.grow(matrix, self.hparams["rounds_per_epoch"])
        super().training_step(batch, batch_idx)
