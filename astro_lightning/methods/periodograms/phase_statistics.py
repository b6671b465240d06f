"""How orderly a light curve is when folded: conditional entropy, analysis of variance, smoothness, phase coverage."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves

PHASE_BINS = 20
MAG_BINS = 10
# Points times frequencies folded at a time.
FOLDED_AT_ONCE = 1 << 16
FOLDED_ON_GPU = 1 << 27


def _scaled(curves: LightCurves) -> Tensor:
    """Magnitudes scaled to [0, 1] within each curve, shape (curves, points)."""
    low = curves.mag.masked_fill(~curves.valid, torch.inf).amin(1, keepdim=True)
    high = curves.mag.masked_fill(~curves.valid, -torch.inf).amax(1, keepdim=True)
    return ((curves.mag - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)


def _phase(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    turns = curves.time_d[:, None] * frequency_per_day[..., None]
    return turns - turns.floor()


def conditional_entropy(
    curves: LightCurves, frequency_per_day: Tensor, phase_bins: int = PHASE_BINS, mag_bins: int = MAG_BINS
) -> Tensor:
    """Entropy of the magnitude given the phase (Graham et al. 2013); small at a period.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies, shape (curves, frequencies).
        phase_bins: Bins in phase.
        mag_bins: Bins in magnitude, over each curve's own range.

    Returns:
        Entropies in nats, shape (curves, frequencies).
    """
    level = (_scaled(curves) * mag_bins).int().clamp_max(mag_bins - 1)[:, None]
    padding = ~curves.valid[:, None]
    cells = phase_bins * mag_bins
    # n ln n of every possible count: sum of p_ij ln(p_j / p_ij) = [sum_j n_j ln n_j - sum_ij n_ij ln n_ij] / N.
    counts = torch.arange(curves.mag.shape[1] + 1, device=level.device, dtype=torch.float64)
    table = torch.xlogy(counts, counts)

    def entropy(frequency: Tensor) -> Tensor:
        cell = _phase_bin(curves, frequency, phase_bins).mul_(mag_bins).add_(level)
        # Padding falls into a bin of its own behind the others.
        count = _binned(cell.masked_fill_(padding, cells), cells + 1, None)[..., :-1]
        column = count.unflatten(-1, (phase_bins, mag_bins)).sum(-1)
        summed = [table.index_select(0, n.reshape(-1)).view(n.shape).sum(-1) for n in (column, count)]
        return (summed[0] - summed[1]) / curves.count[:, None]

    return _in_chunks(entropy, curves, frequency_per_day)


def analysis_of_variance(curves: LightCurves, frequency_per_day: Tensor, phase_bins: int = PHASE_BINS) -> Tensor:
    """Variance between phase bins over the variance within them (Schwarzenberg-Czerny 1989); large at a period.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies, shape (curves, frequencies).
        phase_bins: Bins in phase.

    Returns:
        F statistic, shape (curves, frequencies).
    """
    mag = _scaled(curves) * curves.valid
    points = curves.count[:, None]
    # Counts and sums share one accumulator: n points add n x shift, and the sum of n values up to 1 stays below shift.
    shift = 2.0 ** (mag.shape[1] + 1).bit_length()
    value = (mag + shift) * curves.valid
    # Sum of n_k (mean_k - mean)^2 = sum of S_k^2 / n_k - S^2 / n.
    of_mean = mag.sum(1)[:, None].square() / points
    spread = mag.square().sum(1)[:, None] - of_mean

    def statistic(frequency: Tensor) -> Tensor:
        total = _binned(_phase_bin(curves, frequency, phase_bins), phase_bins, value)
        count = (total / shift).floor()
        total = total - count * shift
        between = (total.square() / count.clamp_min(1)).sum(-1) - of_mean
        within = (spread - between).clamp_min(1e-12)
        return (between / (phase_bins - 1)) / (within / (points - phase_bins).clamp_min(1))

    return _in_chunks(statistic, curves, frequency_per_day)


def _in_chunks(statistic: Callable[[Tensor], Tensor], curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Apply to some frequencies at a time: on a processor what is folded stays in its cache."""
    most = FOLDED_ON_GPU if curves.mag.is_cuda else FOLDED_AT_ONCE
    at_once = max(1, most // curves.mag.numel())
    return torch.cat([statistic(part) for part in frequency_per_day.split(at_once, 1)], 1)


def _phase_bin(curves: LightCurves, frequency_per_day: Tensor, bins: int) -> Tensor:
    """Phase bin of every point, int32, shape (curves, frequencies, points)."""
    turns = curves.time_d[:, None] * frequency_per_day[..., None]
    return turns.frac_().mul_(bins).int().clamp_max_(bins - 1)


def _binned(cell: Tensor, cells: int, value: Tensor | None) -> Tensor:
    """Sum of `value` (shape (curves, points); 1 where None) by cell, shape (curves, frequencies, cells)."""
    curves, frequencies, _ = cell.shape
    row = torch.arange(curves * frequencies, device=cell.device, dtype=cell.dtype).view(curves, frequencies, 1) * cells
    weight = None if value is None else value[:, None].expand(cell.shape).reshape(-1)
    total = torch.bincount((cell + row).view(-1), weight, minlength=curves * frequencies * cells)
    return total.view(curves, frequencies, cells)


def fold_statistics(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Roughness and coverage of the folded curves.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies, shape (curves, frequencies).

    Returns:
        Von Neumann ratio of the magnitudes in phase order (about 2 for noise, small for a smooth folded curve) and the
        widest gap in phase, shape (curves, frequencies, 2).
    """
    phase = _phase(curves, frequency_per_day).masked_fill(~curves.valid[:, None], torch.inf)
    phase, order = phase.sort(-1)
    mag = curves.mag[:, None].expand_as(order).gather(-1, order)
    pair = torch.isfinite(phase[..., 1:])
    last = curves.valid.sum(1).view(-1, 1, 1).expand(*phase.shape[:2], 1) - 1
    # The last point's neighbour is the first, one turn on.
    rough = (mag.diff(dim=-1).square() * pair).sum(-1) + (mag[..., 0] - mag.gather(-1, last)[..., 0]).square()
    gap = torch.where(pair, phase.diff(dim=-1), 0).amax(-1)
    gap = torch.maximum(gap, 1 + phase[..., 0] - phase.gather(-1, last)[..., 0])
    mean = (curves.mag * curves.valid).sum(1) / curves.count
    spread = ((curves.mag - mean[:, None]).square() * curves.valid).sum(1)
    return torch.stack([rough / spread.clamp_min(1e-12)[:, None], gap], -1)
