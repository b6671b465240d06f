"""Missing values of feature columns filled from training rows: fitted once, kept in buffers, the same for any batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from astro_lightning.data.errors import BadInput

STRATEGIES = ("zero", "median", "mean", "knn", "regress")
NEIGHBOURS = 5
# Training rows that are searched for neighbours: more are not better, only slower and a larger checkpoint.
DONORS = 2048
RIDGE = 1e-3


class Imputer(nn.Module):
    """Fills each column by its own strategy.

    `knn` takes the mean of the five nearest training rows, distances over the columns that both rows have, in units of
    each column's spread; `regress` a ridge regression on all other columns, their own gaps at the median, fitted on the
    rows that have the value. What either is given comes from the training rows, never from the batch.

    Args:
        n_features: Columns.
        strategy: One of STRATEGIES for all columns, or one for each.
    """

    def __init__(self, n_features: int, strategy: str | Sequence[str] = "median") -> None:
        super().__init__()
        self.strategy = [strategy] * n_features if isinstance(strategy, str) else list(strategy)
        for name in self.strategy:
            if name not in STRATEGIES:
                raise BadInput(f"imputation={name} is unknown; choose {', '.join(STRATEGIES)}")
        if len(self.strategy) != n_features:
            raise BadInput(f"{len(self.strategy)} imputation strategies stand for {n_features} features: give one each")
        wide = n_features if "regress" in self.strategy else 0
        donors = DONORS if "knn" in self.strategy else 0
        self.filling = nn.Buffer(torch.zeros(n_features))
        self.median = nn.Buffer(torch.zeros(n_features))
        self.spread = nn.Buffer(torch.ones(n_features))
        self.slopes = nn.Buffer(torch.zeros(wide, wide))
        self.intercept = nn.Buffer(torch.zeros(wide))
        self.donors = nn.Buffer(torch.zeros(donors, n_features if donors else 0))

    def fit(self, features: Tensor) -> None:
        """Learn from training rows, shape (rows, n_features); NaN and inf are missing values."""
        known = torch.where(features.isfinite(), features, torch.nan).double()
        median, mean = known.nanmedian(0).values.nan_to_num(0.0), known.nanmean(0).nan_to_num(0.0)
        spread = (known - mean).square().nanmean(0).sqrt().nan_to_num(0.0)
        self.median.copy_(median)
        self.spread.copy_(torch.where(spread > 0, spread, 1.0))
        filling = torch.where(self._chosen("mean"), mean, median).masked_fill(self._chosen("zero"), 0.0)
        self.filling.copy_(filling)
        if len(self.donors):
            rows = torch.linspace(0, len(known) - 1, min(DONORS, len(known))).round().long()
            self.donors.fill_(torch.nan)[: len(rows)] = known[rows]  # no row twice: its copies would be the neighbours
        if len(self.slopes):
            self._regress(known)

    def _regress(self, known: Tensor) -> None:
        scaled = ((torch.where(known.isnan(), self.median.double(), known) - self.median) / self.spread).cpu().numpy()
        for column in self._chosen("regress").nonzero()[:, 0].tolist():
            rows = ~known[:, column].isnan().cpu().numpy()
            if not rows.any():
                continue
            line = Ridge(RIDGE * rows.sum()).fit(np.delete(scaled[rows], column, 1), scaled[rows, column])
            self.slopes[column] = torch.from_numpy(np.insert(line.coef_, column, 0.0))
            self.intercept[column] = float(line.intercept_)

    def forward(self, features: Tensor) -> Tensor:
        """Columns without gaps, shape (rows, n_features); at full precision under autocast too, or other rows were neighbours."""
        with torch.autocast(features.device.type, enabled=False):
            return self._filled(features)

    def _filled(self, features: Tensor) -> Tensor:
        missing = ~features.isfinite()
        filled = torch.where(missing, self.filling, features)
        if len(self.slopes) and missing.any():
            scaled = (torch.where(missing, self.median, features) - self.median) / self.spread
            fitted = (scaled @ self.slopes.T + self.intercept) * self.spread + self.median
            filled = torch.where(missing & self._chosen("regress"), fitted, filled)
        gaps = missing & self._chosen("knn")
        rows = gaps.any(1)
        if rows.any():
            found = self._neighbours(features[rows].masked_fill(missing[rows], torch.nan))
            filled[rows] = torch.where(gaps[rows], found, filled[rows])
        return filled

    def _chosen(self, strategy: str) -> Tensor:
        return torch.tensor([name == strategy for name in self.strategy], device=self.filling.device)

    def _neighbours(self, features: Tensor) -> Tensor:
        """Mean of the nearest donors that have a value, for every entry; the filling where no donor has one."""
        known, of_donor = ~features.isnan(), ~self.donors.isnan()
        scaled = ((features - self.median) / self.spread).nan_to_num(0.0)
        donors = ((self.donors - self.median) / self.spread).nan_to_num(0.0)
        shared = known.float() @ of_donor.float().T
        distance = scaled.square() @ of_donor.float().T + known.float() @ donors.square().T - 2 * scaled @ donors.T
        distance = (distance / shared).masked_fill(shared == 0, torch.inf)
        out = self.filling.expand_as(features).clone()
        for column in self._chosen("knn").nonzero()[:, 0].tolist():
            having = of_donor[:, column].nonzero()[:, 0]
            if len(having):
                nearest = distance[:, having].topk(min(NEIGHBOURS, len(having)), largest=False).indices
                out[:, column] = self.donors[having, column][nearest].mean(1)
        return out
