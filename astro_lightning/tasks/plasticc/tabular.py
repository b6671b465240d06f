"""A small network on hand features, which errs elsewhere than trees do: their mean is better than either."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.core.task import class_weights
from astro_lightning.tasks.plasticc.trees import LabelShiftModule

N_QUANTILES = 129
# Scores beyond this, 3.5 standard deviations, are set to it: single wild values carry no weight.
LARGEST_SCORE = 2.5


class NormalScores(nn.Module):
    """Each feature to a normal distribution of variance 1/2 by its rank in the training data; missing ones to 0, and flagged."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.quantiles = nn.Buffer(torch.zeros(n_features, N_QUANTILES))

    def fit(self, features: Tensor) -> None:
        """Quantiles of features (n_objects, n_features), NaN where missing."""
        values = features.cpu().numpy()
        values = np.where(np.isnan(values).all(0), 0, values)
        found = np.nanquantile(values, np.linspace(0, 1, N_QUANTILES), axis=0)
        self.quantiles.copy_(torch.from_numpy(found.T))

    def forward(self, features: Tensor) -> Tensor:
        """(batch, n_features) to (batch, 2 n_features)."""
        missing = torch.isnan(features)
        values = torch.nan_to_num(features).T.contiguous()
        place = (
            torch.searchsorted(self.quantiles, values, right=True) + torch.searchsorted(self.quantiles, values)
        ).float() / 2
        below = (place.floor().long() - 1).clamp(0, N_QUANTILES - 2)
        low, high = self.quantiles.gather(1, below), self.quantiles.gather(1, below + 1)
        share = ((values - low) / (high - low).clamp(min=1e-30)).clamp(0, 1)
        # A value that many objects share stands for the middle of their ranks.
        rank = torch.where(high > low, below + share, place - 0.5) / (N_QUANTILES - 1)
        score = torch.erfinv((2 * rank - 1).clamp(-1 + 1e-6, 1 - 1e-6)).T.clamp(-LARGEST_SCORE, LARGEST_SCORE)
        return torch.cat([score.masked_fill(missing, 0), missing.float()], dim=1)


class TabularNetwork(nn.Module):
    """Three layers with batch norm over normal scores of the features.

    Args:
        n_features: Hand features of an object.
        n_classes: Logits.
        width: Of the first two layers; the third has half.
        dropout: After each layer; a quarter of it on the inputs.
    """

    def __init__(self, n_features: int, n_classes: int, width: int = 192, dropout: float = 0.4) -> None:
        super().__init__()
        self.scores = NormalScores(n_features)
        sizes = [2 * n_features, width, width, width // 2]
        layers: list[nn.Module] = [nn.Dropout(dropout / 4)]
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.SiLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, n_classes) of `features` (batch, n_features)."""
        return self.layers(self.scores(batch["features"]))


class TabularModule(LabelShiftModule):
    """Trains `TabularNetwork`; classes are weighted as for the trees.

    Args:
        label_smoothing: Share of each target that is spread over all classes.
        **arguments: Of `TaskModule`.
    """

    def __init__(self, *, label_smoothing: float = 0.05, **arguments: Any) -> None:
        super().__init__(label_smoothing=label_smoothing, **arguments)

    def make_network(self) -> nn.Module:
        """The network for the features and classes of the training data."""
        return TabularNetwork(len(self.info["features"]), len(self.info["classes"]), **self.model_settings)

    def on_fit_start(self) -> None:
        """Quantiles of the training features."""
        assert isinstance(self.network, TabularNetwork)
        batches = list(self.datamodule.loader("train"))
        self.network.scores.fit(torch.cat([batch["features"] for batch in batches]))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted, smoothed cross-entropy."""
        weight = class_weights(self.info["counts"], float(self.info["balance"])).to(logits)
        return nn.functional.cross_entropy(logits, target, weight, label_smoothing=self.hparams["label_smoothing"])

    def on_validation_epoch_end(self) -> None:
        """Log the number of steps: as the monitor (mode max) it keeps the last epoch, where validation is too small to choose."""
        super().on_validation_epoch_end()
        self.log("val/steps", float(self.global_step))
