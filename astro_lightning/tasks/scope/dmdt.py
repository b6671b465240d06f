"""dm-dt images: two-dimensional histograms of all pairs of observations."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves

DT_EDGES_D = (
    0, 0.02759, 0.04, 0.08, 0.12, 0.3, 0.75, 1, 1.5, 2.5, 3.5, 4.5, 5.5, 7, 10, 20, 30, 45, 60, 90, 120, 180, 240, 360,
    500, 650, 2000,
)  # fmt: skip
DM_EDGES_MAG = (
    -8, -4.5, -3, -2.5, -2, -1.5, -1.25, -0.75, -0.5, -0.3, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.25,
    1.5, 2, 2.5, 3, 4.5, 8,
)  # fmt: skip
SIZE = len(DT_EDGES_D) - 1
OUTSIDE = SIZE
# Pairs of one call stay in the processor's cache.
PAIRS_AT_ONCE = 400_000


# Sign, exponent and three bits of the mantissa of a float32: cells 12 per cent wide or less, so that one holds at most
# one edge, in a table that fits the processor's first cache.
SHIFT = 20
CELLS = 1 << (32 - SHIFT)


@cache
def _table(edges: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Bin at the start of each cell of float32 bit patterns, and the edge within the cell (inf where none)."""
    code = torch.arange(-(CELLS // 2), CELLS // 2, dtype=torch.int32) << SHIFT
    ends = torch.stack([code, code | ((1 << SHIFT) - 1)]).view(torch.float32)
    start, end = ends.amin(0), ends.amax(0)
    sorted_edges = torch.tensor(edges, dtype=torch.float32)
    first = torch.bucketize(start, sorted_edges, right=True) - 1
    edge = torch.cat([sorted_edges, torch.tensor([torch.inf])])[first + 1]
    edge = torch.where((edge <= end) & (first >= 0), edge, torch.inf)
    place = torch.where((first < 0) | ends.isnan().any(0), OUTSIDE, first.clamp_max(OUTSIDE))
    return place.int().to(device), edge.to(device)


def _bin(values: Tensor, edges: tuple[float, ...]) -> Tensor:
    """Index of the bin [edge, next edge) of float32 values, OUTSIDE where there is none; shape (values.numel(),)."""
    place, edge = _table(edges, values.device)
    cell = (values.contiguous().view(-1).view(torch.int32) >> SHIFT).add_(CELLS // 2)
    return place.index_select(0, cell).add_(values.view(-1) >= edge.index_select(0, cell))


def dmdt(curves: LightCurves) -> Tensor:
    """Histogram of magnitude difference (rows) against time difference (columns) over all pairs i < j.

    Bins are closed below and open above; pairs outside the edges are left out (Mahabal et al. 2017).

    Args:
        curves: The light curves, times ascending.

    Returns:
        float32 images of Frobenius norm 1 (all 0 where no pair falls inside), shape (curves, 26, 26).
    """
    points = curves.mag.shape[1]
    rows = max(1, PAIRS_AT_ONCE // max(1, points * points // 2))
    return torch.cat([_dmdt(curves[first : first + rows]) for first in range(0, len(curves), rows)])


def _dmdt(curves: LightCurves) -> Tensor:
    """The same for a chunk: every unordered pair once, as (i, i + lag modulo an odd length)."""
    pad = 1 - curves.mag.shape[1] % 2
    nan = torch.nan
    time = torch.nn.functional.pad(curves.time_d.masked_fill(~curves.valid, nan), (0, pad), value=nan)
    mag = torch.nn.functional.pad(curves.mag.float(), (0, pad))
    points = time.shape[1]
    lags = (points - 1) // 2
    twice = torch.cat([time, time[:, : lags + 1]], 1), torch.cat([mag, mag[:, : lags + 1]], 1)
    later_time, later_mag = (values.unfold(1, lags, 1)[:, 1 : points + 1] for values in twice)
    # Past the end the second of a pair is the earlier one.
    wrapped = torch.arange(points)[:, None] + torch.arange(1, lags + 1) >= points
    sign = torch.where(wrapped, -1.0, 1.0).to(mag.device)
    dt = (later_time - time[..., None]).float().abs_()
    dm = (later_mag - mag[..., None]).mul_(sign)
    side = (SIZE + 1) ** 2
    cell = _bin(dm, DM_EDGES_MAG).mul_(SIZE + 1).add_(_bin(dt, DT_EDGES_D)).view(len(mag), -1)
    cell += (torch.arange(len(mag), device=mag.device, dtype=torch.int32) * side)[:, None]
    count = torch.bincount(cell.view(-1), minlength=len(mag) * side)
    image = count.view(-1, SIZE + 1, SIZE + 1)[:, :SIZE, :SIZE].float()
    return image / torch.linalg.matrix_norm(image).clamp_min(1e-12)[:, None, None]
