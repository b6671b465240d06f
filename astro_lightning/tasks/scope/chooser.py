"""A learned choice among candidate periods: boosted trees that say of each candidate whether it is the period."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.methods.boosted_trees import BoostedTrees
from astro_lightning.methods.periodograms.candidates import CANDIDATES
from astro_lightning.methods.periodograms.descriptors import DESCRIPTORS

# Of the logarithm of the analysis of variance; chosen on Catalina's periods.
PRICE_PER_DEX = 0.5


class Chooser(nn.Module):
    """One booster for each fold of the training objects, so that each object can be scored by trees that never saw it.

    Args:
        folds: Number of folds.
        parameters: XGBoost's parameters.
    """

    def __init__(self, folds: int, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(BoostedTrees(2, parameters) for _ in range(folds))

    @staticmethod
    def inputs(batch: Batch) -> Tensor:
        """Descriptors of every candidate beside its curve's statistics, shape (batch, candidates, n_inputs)."""
        each = batch["candidates"].unflatten(1, (CANDIDATES, len(DESCRIPTORS)))
        of_curve = torch.cat([batch["statistics"], batch["best_sine"].float()], 1)
        return torch.cat([each, of_curve[:, None].expand(-1, CANDIDATES, -1)], 2)

    def scores(self, inputs: Tensor, fold: int) -> Tensor:
        """Log odds of one fold's trees, shape (batch, candidates)."""
        return self.folds[fold](inputs.flatten(0, 1))[:, 1].view(inputs.shape[:2])

    def forward(self, batch: Batch) -> Tensor:
        """Log odds that a candidate is the period, mean over the folds, shape (batch, candidates).

        Without trees it is the analysis of variance, the published nested rule, less a price for every factor that lies
        between a candidate and the best sinusoid: multiples of a period fold as well as the period itself.
        """
        if all(trees.booster is None for trees in self.folds):
            each = batch["candidates"].unflatten(1, (CANDIDATES, -1))
            away = (each[..., DESCRIPTORS.index("log_period")] + batch["best_sine"][:, :1].log10()).abs()
            return each[..., DESCRIPTORS.index("log_aov")] - PRICE_PER_DEX * away.float()
        inputs = self.inputs(batch)
        return torch.stack([self.scores(inputs, fold) for fold in range(len(self.folds))]).mean(0)
