"""How orderly a light curve is when folded: conditional entropy, analysis of variance, smoothness, phase coverage."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves

PHASE_BINS = 20
MAG_BINS = 10


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
    level = (_scaled(curves) * mag_bins).long().clamp_max(mag_bins - 1)
    # Padding falls into a bin of its own behind the others.
    cell = (_phase(curves, frequency_per_day) * phase_bins).long().clamp_max(phase_bins - 1) * mag_bins
    cell = torch.where(curves.valid[:, None], cell + level[:, None], phase_bins * mag_bins)
    count = _binned(cell, phase_bins * mag_bins + 1, None)[..., :-1].unflatten(-1, (phase_bins, mag_bins))
    column = count.sum(-1, keepdim=True)
    return (torch.xlogy(count, column) - torch.xlogy(count, count)).sum((-1, -2)) / curves.count[:, None]


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
    cell = (_phase(curves, frequency_per_day) * phase_bins).long().clamp_max(phase_bins - 1)
    # Counts and sums share one accumulator: n points add n x shift, and the sum of n values up to 1 stays below shift.
    shift = 2.0 ** (mag.shape[1] + 1).bit_length()
    total = _binned(cell, phase_bins, (mag + shift) * curves.valid)
    count = (total / shift).floor()
    total = total - count * shift
    # Sum of n_k (mean_k - mean)^2 = sum of S_k^2 / n_k - S^2 / n.
    all_mag = mag.sum(1)[:, None]
    between = (total.square() / count.clamp_min(1)).sum(-1) - all_mag.square() / points
    within = (mag.square().sum(1)[:, None] - all_mag.square() / points - between).clamp_min(1e-12)
    return (between / (phase_bins - 1)) / (within / (points - phase_bins).clamp_min(1))


def _binned(cell: Tensor, cells: int, value: Tensor | None) -> Tensor:
    """Sum of `value` (shape (curves, points); 1 where None) by cell, shape (curves, frequencies, cells)."""
    curves, frequencies, _ = cell.shape
    row = torch.arange(curves * frequencies, device=cell.device).view(curves, frequencies, 1) * cells
    weight = None if value is None else value[:, None].expand(cell.shape).reshape(-1)
    total = torch.bincount((cell + row).view(-1), weight, minlength=curves * frequencies * cells)
    return total.view(curves, frequencies, cells).double()


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
