"""How fast a star varies, whatever its period: the structure function, and the power in bands of period."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from astro_lightning.core.loader import Batch
from astro_lightning.methods.periodograms.candidates import CANDIDATES
from astro_lightning.methods.periodograms.descriptors import DESCRIPTORS
from astro_lightning.tasks.scope.dmdt import DM_EDGES_MAG, SIZE

# First columns of the dm-dt image that are taken together: lags from 0, .028, .12, .75, 1.5, 2.5, 4.5, ... to 650 days.
LAGS = (0, 1, 4, 6, 8, 9, 11, 14, 15, 17, 19, 21, 23, 25)
BAND_EDGES_D = (
    0.05, 1 / 12, 1 / 7, 1 / 4, 1 / 2.2, 1 / 1.2, 1.25, 2.5, 7.0, 20.0, 50.0, 100.0, 200.0, 400.0, 1000.0, 5000.0,
)  # fmt: skip


def timescales(batch: Batch) -> Tensor:
    """What tells apart stars that no period describes: long-period, semi-regular and irregular ones.

    Args:
        batch: `dmdt` (batch, 676) and `candidates`, the columns of `features.aperiodic`.

    Returns:
        Mean square and mean size of the magnitude differences at each of LAGS, over those of all pairs; then the highest
        Lomb-Scargle power among the candidates of each band of period; NaN where a lag has no pair. Shape
        (batch, 2 len(LAGS) + len(BAND_EDGES_D) - 1), float32.
    """
    image = batch["dmdt"].unflatten(1, (SIZE, SIZE))
    edges = image.new_tensor(DM_EDGES_MAG)
    size = ((edges[1:] + edges[:-1]) / 2).abs()
    pairs = torch.stack([image[..., a:b].sum(-1) for a, b in pairwise((*LAGS, SIZE))], -1)
    moments = torch.stack([size.square(), size]) @ pairs
    count = pairs.sum(1, keepdim=True)
    change = (moments / count) / (moments.sum(2, keepdim=True) / count.sum(2, keepdim=True))

    candidates = batch["candidates"].unflatten(1, (CANDIDATES, len(DESCRIPTORS)))
    log_period = candidates[..., DESCRIPTORS.index("log_period")].contiguous()
    power = candidates[..., DESCRIPTORS.index("power_at_1f")]
    bands = len(BAND_EDGES_D) - 1
    band = (torch.bucketize(log_period, image.new_tensor(BAND_EDGES_D).log10()) - 1).clamp(0, bands - 1)
    highest = power.new_zeros(len(power), bands).scatter_reduce(1, band, power, "amax")
    return torch.cat([change.flatten(1), highest], 1)
