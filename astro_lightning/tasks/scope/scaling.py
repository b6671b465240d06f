"""Scaling and imputation of feature columns, fitted on training rows alone and kept in the network's buffers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.imputation import Imputer

SCALINGS = ("min_max", "median_std", "asinh", "quantile")
QUANTILES = 101


class Preparation(nn.Module):
    """Missing values filled, then columns scaled.

    Args:
        n_features: Columns.
        scaling: `min_max` to [0, 1]; `median_std`; `asinh` of (x - median) / interquartile range, which keeps heavy
            tails apart; `quantile` to [0, 1] by rank among the training rows.
        imputation: Of `Imputer`: one strategy, or one for each column.
    """

    def __init__(self, n_features: int, scaling: str = "quantile", imputation: str | Sequence[str] = "median") -> None:
        super().__init__()
        if scaling not in SCALINGS:
            raise BadInput(f"scaling={scaling} is unknown; choose {', '.join(SCALINGS)}")
        self.scaling = scaling
        self.imputer = Imputer(n_features, imputation)
        self.centre = nn.Buffer(torch.zeros(n_features))
        self.width = nn.Buffer(torch.ones(n_features))
        self.knots = nn.Buffer(torch.zeros(n_features, QUANTILES))

    def fit(self, features: Tensor) -> None:
        """Learn fillings and scales from training rows, shape (rows, n_features); NaN and inf are missing values."""
        known = torch.where(features.isfinite(), features, torch.nan).double()
        fractions = torch.linspace(0, 1, QUANTILES, dtype=torch.float64, device=known.device)
        some = known[:: max(1, len(known) // 100_000)]  # quantiles of more rows are not better, only slower
        quantiles = torch.nanquantile(some, fractions, dim=0).nan_to_num(0.0).T
        median = quantiles[:, QUANTILES // 2]
        self.imputer.fit(features)
        filled = self.imputer(features).double()
        low, high = filled.amin(0), filled.amax(0)
        centre, width = {
            "min_max": (low, high - low),
            "median_std": (median, filled.std(0)),
            "asinh": (median, quantiles[:, 3 * QUANTILES // 4] - quantiles[:, QUANTILES // 4]),
            "quantile": (torch.zeros_like(low), torch.ones_like(low)),
        }[self.scaling]
        self.centre.copy_(centre)
        self.width.copy_(torch.where(width > 0, width, 1.0))
        self.knots.copy_(quantiles)

    def forward(self, features: Tensor) -> Tensor:
        """Filled and scaled columns, shape (rows, n_features)."""
        filled = self.imputer(features)
        if self.scaling == "quantile":
            knots = self.knots.contiguous()
            rank = torch.searchsorted(knots, filled.T.contiguous(), right=True) + torch.searchsorted(
                knots, filled.T.contiguous()
            )
            return rank.T.float() / (2 * QUANTILES)
        scaled = (filled - self.centre) / self.width
        return scaled.asinh() if self.scaling == "asinh" else scaled
