"""Slow changes of a periodic star: its mean level, its amplitude and phase, beyond what noise explains."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.harmonics import design
from astro_lightning.methods.periodograms.light_curves import LightCurves

DRIFT = ("level_drift", "wave_drift", "log_level_drift_f", "log_wave_drift_f")
TERMS = 4
DEGREE = 4
MODULATED = 4


def drift(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """What polynomials in time explain of a folded curve's residuals: spots come and go, eclipses do not.

    A Fourier series of four harmonics is fitted first, then the mean level as a Legendre series of degree 4 in time,
    then the first two harmonics' coefficients as such series.

    Args:
        curves: The light curves.
        frequency_per_day: Frequency of each, shape (curves,).

    Returns:
        Columns as named in DRIFT, shape (curves, 4): the shares of the residual chi-squared that level and wave take
        away, and the logarithms of their F statistics.
    """
    series = design(curves.time_d, frequency_per_day[:, None], TERMS, trend=False)[:, 0]
    x = 2 * curves.time_d / curves.baseline_d.clamp_min(1e-9)[:, None] - 1
    powers = [torch.ones_like(x), x]
    for n in range(1, DEGREE):
        powers.append(((2 * n + 1) * x * powers[-1] - n * powers[-2]) / (n + 1))
    time = torch.stack(powers[1:], 1)
    wave = (series[:, 1 : 1 + MODULATED, None] * time[:, None]).flatten(1, 2)
    columns = torch.cat([series, time, wave], 1)
    weight = curves.weight
    mean = (weight * curves.mag).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    residual = (curves.mag - mean) * curves.valid
    normal = (columns * weight[:, None]) @ columns.mT
    # Without the ridge a short curve's polynomials would explain its noise away.
    normal.diagonal(dim1=-2, dim2=-1).mul_(1 + 1e-4).add_(1e-30)
    right = (columns * (weight * residual)[:, None]).sum(-1, keepdim=True)
    explained = torch.linalg.solve_triangular(torch.linalg.cholesky_ex(normal).L, right, upper=False)[..., 0].square()
    first = 1 + 2 * TERMS
    left = ((weight * residual.square()).sum(1) - explained[:, :first].sum(1)).clamp_min(1e-12)
    level = explained[:, first : first + DEGREE].sum(1)
    modulation = explained[:, first + DEGREE :].sum(1)
    noise = (left - level - modulation).clamp_min(1e-12) / (curves.count - columns.shape[1]).clamp_min(1)
    return torch.stack([
        level / left, modulation / left, (level / DEGREE / noise + 1e-6).log(),
        (modulation / (MODULATED * DEGREE) / noise + 1e-6).log(),
    ], 1).float()  # fmt: skip
