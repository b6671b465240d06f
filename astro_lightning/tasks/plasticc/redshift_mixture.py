"""Classifiers that know how wrong a photometric redshift can be, from the spectroscopic ones of the training objects.

They learn p(class | x, z) at spectroscopic redshifts and p(z | x) from how far photometric ones lie from them, and say
p(class | x) = sum over z of p(z | x) p(class | x, z). No spectroscopic redshift is read of an object that is scored.
"""

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astro_lightning.core.loader import Batch
from astro_lightning.methods.density_forest import DensityForest
from astro_lightning.tasks.plasticc.redshift_table import features_at
from astro_lightning.tasks.plasticc.tabular import TabularModule
from astro_lightning.tasks.plasticc.tokenizer_continuous import METADATA
from astro_lightning.tasks.plasticc.trees import LabelShiftModule, TreesModule

log = logging.getLogger(__name__)

# Redshifts less probable than this are left out: they cost as much as the others.
SMALLEST_SHARE = 2e-3
# Objects times redshifts whose features are made together: memory stays bounded, whatever the batch.
MOVED_AT_ONCE = 8192
# With fewer spectroscopic redshifts the photometric ones are taken as they are.
MIN_KNOWN = 200


class RedshiftMixture(LabelShiftModule):
    """A classifier of features at a redshift, averaged over the redshifts that an object may have.

    Args:
        forest: Arguments of the `DensityForest` over the offset in ln(1 + z).
        **arguments: Of the next class in line.
    """

    def __init__(self, *, forest: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__(forest=forest or {}, **arguments)
        self.offsets = DensityForest(**self.hparams["forest"])

    def on_fit_start(self) -> None:
        """Grow the forest, then what the classifier does at its start."""
        batches = list(self.datamodule.loader("train"))
        seen, offset = (torch.cat([batch[name] for batch in batches]).numpy() for name in ("seen", "offset"))
        known = np.isfinite(offset)
        if known.sum() >= MIN_KNOWN:
            self.offsets.fit(seen[known], offset[known])
        else:
            log.warning(
                "%d training objects have both redshifts, fewer than %d: photometric ones are taken as they are",
                known.sum(), MIN_KNOWN,
            )  # fmt: skip
        super().on_fit_start()

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, n_classes): of the features as they are in training, else of the mixture over redshifts."""
        plain = super().forward(batch)
        if self.training or not self.offsets.nodes:
            return plain
        metadata = dict(zip(METADATA, batch["metadata"].cpu().numpy().T))
        if not (metadata["photoz"] > 0).any():  # Galactic or unknown, all of them: nothing to average
            return plain
        statistics, names = batch["statistics"].cpu().numpy(), list(self.info["features"])
        moving = torch.from_numpy(metadata["photoz"] > 0).to(plain.device)
        share = self.offsets(batch["features"]).float()
        share = torch.where((share < SMALLEST_SHARE) | ~moving[:, None], 0, share)
        share = share / share.sum(1, keepdim=True)
        total = torch.zeros_like(plain)
        rows, bins = torch.nonzero(share > 0, as_tuple=True)
        for row, at in zip(rows.split(MOVED_AT_ONCE), bins.split(MOVED_AT_ONCE)):
            own, offset = row.cpu().numpy(), self.offsets.centre[at].double().cpu().numpy()
            part = {name: values[own] for name, values in metadata.items()}
            moved = torch.from_numpy(features_at(statistics[own], part, offset, names)).to(plain.device)
            total.index_add_(0, row, share[row, at, None] * super().forward({**batch, "features": moved}).softmax(1))
        return torch.where(moving[:, None], total.clamp_min(1e-12).log(), plain)


class RedshiftTreesModule(RedshiftMixture, TreesModule):
    """Boosted trees on features at a redshift."""


class RedshiftTabularModule(RedshiftMixture, TabularModule):
    """The small network on features at a redshift."""
