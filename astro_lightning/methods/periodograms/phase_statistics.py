"""How orderly a light curve is when folded: conditional entropy, analysis of variance, smoothness, phase coverage."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves

PHASE_BINS = 20
MAG_BINS = 10  # over each curve's own range
# Points times frequencies folded at a time.
FOLDED_AT_ONCE = 1 << 16
FOLDED_ON_GPU = 1 << 27
# Scales a phase so that the last one of a turn, rounded, stays in the last bin, also beside the number of its row.
BELOW_ONE = 1 - 2.0**-30


def _scaled(curves: LightCurves) -> Tensor:
    """Magnitudes scaled to [0, 1] within each curve, shape (curves, points)."""
    low = curves.mag.masked_fill(~curves.valid, torch.inf).amin(1, keepdim=True)
    high = curves.mag.masked_fill(~curves.valid, -torch.inf).amax(1, keepdim=True)
    return ((curves.mag - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)


def _phase(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    turns = curves.time_d[:, None] * frequency_per_day[..., None]
    return turns - turns.floor()


def conditional_entropy(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Entropy of the magnitude given the phase (Graham et al. 2013); small at a period.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies, shape (curves, frequencies).

    Returns:
        Entropies in nats, shape (curves, frequencies).
    """
    level = (_scaled(curves) * MAG_BINS).int().clamp_max(MAG_BINS - 1)
    padding = ~curves.valid
    cells = PHASE_BINS * MAG_BINS
    # n ln n of every possible count: sum of p_ij ln(p_j / p_ij) = [sum_j n_j ln n_j - sum_ij n_ij ln n_ij] / N.
    counts = torch.arange(curves.mag.shape[1] + 1, device=level.device, dtype=torch.float64)
    table = torch.xlogy(counts, counts)

    def entropy(phase: Tensor) -> Tensor:
        # Padding falls into a bin of its own behind the others.
        cell = phase.mul_(PHASE_BINS * BELOW_ONE).int().mul_(MAG_BINS).add_(level).masked_fill_(padding, cells)
        row = _rows(cell, cells + 1)
        count = torch.bincount(cell.add_(row).view(-1), minlength=row.numel() * (cells + 1))
        count = count.view(*cell.shape[:2], cells + 1)[..., :-1]
        column = count.unflatten(-1, (PHASE_BINS, MAG_BINS)).sum(-1)
        summed = [table.index_select(0, n.reshape(-1)).view(n.shape).sum(-1) for n in (column, count)]
        return (summed[0] - summed[1]) / curves.count

    return _folded(entropy, curves, frequency_per_day)


def analysis_of_variance(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Variance between phase bins over the variance within them (Schwarzenberg-Czerny 1989); large at a period.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies, shape (curves, frequencies).

    Returns:
        F statistic, shape (curves, frequencies).
    """
    mag = _scaled(curves) * curves.valid
    points = curves.count
    # Counts and sums share one accumulator: n points add n x shift, and the sum of n values up to 1 stays below shift.
    shift = 2.0 ** (mag.shape[1] + 1).bit_length()
    # Sum of n_k (mean_k - mean)^2 = sum of S_k^2 / n_k - S^2 / n.
    of_mean = mag.sum(1).square() / points
    spread = mag.square().sum(1) - of_mean
    at_once = min(_at_once(curves), frequency_per_day.shape[1])
    value = ((mag + shift) * curves.valid).repeat(at_once, 1).view(-1)

    def statistic(phase: Tensor) -> Tensor:
        row = _rows(phase, PHASE_BINS)
        cell = torch.add(row, phase, alpha=PHASE_BINS * BELOW_ONE).int().view(-1)
        total = torch.bincount(cell, value[: cell.numel()], minlength=row.numel() * PHASE_BINS)
        total = total.view(*phase.shape[:2], PHASE_BINS)
        count = (total / shift).floor()
        total = total - count * shift
        between = (total.square() / count.clamp_min(1)).sum(-1) - of_mean
        within = (spread - between).clamp_min(1e-12)
        return (between / (PHASE_BINS - 1)) / (within / (points - PHASE_BINS).clamp_min(1))

    return _folded(statistic, curves, frequency_per_day)


def _at_once(curves: LightCurves) -> int:
    """Frequencies to fold at a time: on a processor what is folded stays in its cache."""
    return max(1, (FOLDED_ON_GPU if curves.mag.is_cuda else FOLDED_AT_ONCE) // curves.mag.numel())


def _folded(statistic: Callable[[Tensor], Tensor], curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """A statistic of the phases (shape (frequencies, curves, points), in [0, 1)), shape (curves, frequencies)."""
    parts = []
    for frequency in frequency_per_day.T.contiguous().split(_at_once(curves)):
        turns = curves.time_d * frequency[..., None]
        parts.append(statistic(turns.frac_()))
    return torch.cat(parts).T


def _rows(phase: Tensor, cells: int) -> Tensor:
    """Number of the first cell of every fold, of the phase's type, shape (frequencies, curves, 1)."""
    folds = phase.shape[0] * phase.shape[1]
    first = torch.arange(0, folds * cells, cells, device=phase.device, dtype=phase.dtype)
    return first.view(*phase.shape[:2], 1)


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
