"""Tests of normality for batches of samples of different sizes."""

from __future__ import annotations

import torch
from torch import Tensor

# Royston's approximations to the two largest coefficients, as polynomials in 1 / sqrt(n) (AS R94, highest power first).
_LARGEST = (-2.706056, 4.434685, -2.071190, -0.147981, 0.221157, 0.0)
_SECOND = (-3.582633, 5.682633, -1.752461, -0.293762, 0.042981, 0.0)


def anderson_darling(ordered: Tensor, valid: Tensor) -> Tensor:
    """Anderson-Darling distance from a normal distribution with the sample's own mean and deviation.

    Args:
        ordered: Samples in ascending order, padding last, shape (samples, points).
        valid: True where not padding, same shape.

    Returns:
        A-squared, shape (samples,).
    """
    count = valid.sum(1).double()
    filled = torch.where(valid, ordered, 0)
    mean = filled.sum(1) / count
    spread = ((filled - mean[:, None]).square() * valid).sum(1).div((count - 1).clamp_min(1)).sqrt().clamp_min(1e-12)
    score = (filled - mean[:, None]) / spread[:, None]
    log_cdf, log_sf = torch.special.log_ndtr(score), torch.special.log_ndtr(-score)
    rank = torch.arange(1, ordered.shape[1] + 1, device=ordered.device)
    # The sum pairs the i-th smallest with the i-th largest; re-ordering it leaves each point to its own two terms.
    terms = (2 * rank - 1) * log_cdf + (2 * (count[:, None] - rank) + 1) * log_sf
    return -count - torch.where(valid, terms, 0).sum(1) / count


def shapiro_wilk(ordered: Tensor, valid: Tensor) -> Tensor:
    """Shapiro-Wilk W statistic (Royston 1995).

    Args:
        ordered: Samples in ascending order, padding last, shape (samples, points); at least 6 points each.
        valid: True where not padding, same shape.

    Returns:
        W in (0, 1], shape (samples,).
    """
    count = valid.sum(1).double()[:, None]
    rank = torch.arange(1, ordered.shape[1] + 1, device=ordered.device).double()
    expected = torch.where(valid, torch.special.ndtri(((rank - 0.375) / (count + 0.25)).clamp(1e-9, 1 - 1e-9)), 0)
    total = expected.square().sum(1, keepdim=True)
    unit = expected / total.sqrt()
    root = count.rsqrt()
    last = count.long() - 1
    largest = _polynomial(_LARGEST, root) + unit.gather(1, last)
    second = _polynomial(_SECOND, root) + unit.gather(1, (last - 1).clamp_min(0))
    most, next_most = expected.gather(1, last), expected.gather(1, (last - 1).clamp_min(0))
    scale = (total - 2 * most.square() - 2 * next_most.square()) / (1 - 2 * largest.square() - 2 * second.square())
    coefficient = expected / scale.clamp_min(1e-12).sqrt()
    coefficient = torch.where((rank == 1) | (rank == count), largest * expected.sign(), coefficient)
    coefficient = torch.where((rank == 2) | (rank == count - 1), second * expected.sign(), coefficient)
    filled = torch.where(valid, ordered, 0)
    deviation = (filled - filled.sum(1, keepdim=True) / count) * valid
    return (coefficient * deviation).sum(1).square() / deviation.square().sum(1).clamp_min(1e-300)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    value = torch.zeros_like(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value
