"""The 22 basic statistics of a light curve, for whole batches."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.tasks.scope.normality import anderson_darling, shapiro_wilk

STATISTICS = (
    "n", "median", "wmean", "chi2red", "roms", "wstd", "norm_peak_to_peak_amp", "norm_excess_var", "median_abs_dev",
    "iqr", "i60r", "i70r", "i80r", "i90r", "skew", "smallkurt", "inv_vonneumannratio", "welch_i", "stetson_j",
    "stetson_k", "ad", "sw",
)  # fmt: skip
# Lower and upper percentile of iqr, i60r, i70r, i80r and i90r.
_RANGES = ((25, 75), (20, 80), (15, 85), (10, 90), (5, 95))


def quantiles(ordered: Tensor, count: Tensor, fractions: Tensor) -> Tensor:
    """Linearly interpolated quantiles of ordered, padded samples.

    Args:
        ordered: Ascending, padding last, shape (samples, points).
        count: Points that are not padding, shape (samples,).
        fractions: In [0, 1], shape (fractions,).

    Returns:
        Shape (samples, fractions).
    """
    place = fractions * (count[:, None] - 1).clamp_min(0)
    below = place.floor().long()
    above = torch.minimum(below + 1, (count[:, None].long() - 1).clamp_min(0))
    low, high = ordered.gather(1, below), ordered.gather(1, above)
    return low + (place - below) * (high - low)


def basic_statistics(curves: LightCurves) -> Tensor:
    """Statistics of the magnitudes, their errors and their order in time (van Roestel et al. 2021, table 2).

    Args:
        curves: The light curves; at least four points each for a finite skewness and kurtosis.

    Returns:
        Columns as named in STATISTICS, float64, shape (curves, 22).
    """
    mag, err, valid, count = curves.mag, curves.mag_err, curves.valid, curves.count
    weight = curves.weight
    total_weight = weight.sum(1)
    mean = (weight * mag).sum(1) / total_weight
    residual = (mag - mean[:, None]) / err * valid
    ordered = mag.masked_fill(~valid, torch.inf).sort(1).values
    fractions = mag.new_tensor([0.5, *(p / 100 for low_high in _RANGES for p in low_high)])
    quantile = quantiles(ordered, count, fractions)
    median = quantile[:, 0]
    deviation = (mag - median[:, None]).abs()
    mad = quantiles(deviation.masked_fill(~valid, torch.inf).sort(1).values, count, fractions[:1])[:, 0]
    wstd = ((weight * (mag - mean[:, None]).square()).sum(1) / total_weight).sqrt()
    brightest = (mag + err).masked_fill(~valid, torch.inf).amin(1)
    faintest = (mag - err).masked_fill(~valid, -torch.inf).amax(1)
    excess = (((mag - mean[:, None]).square() - err.square()) * valid).sum(1) / (count * mean.square())
    cubes, fourths = residual.pow(3).sum(1), residual.pow(4).sum(1)
    skew = count / ((count - 1) * (count - 2)) * cubes
    kurt = count * (count + 1) / ((count - 1) * (count - 2) * (count - 3)) * fourths
    kurt = kurt - 3 * (count - 1).square() / ((count - 2) * (count - 3))

    step = curves.time_d.diff(dim=1)
    # Two observations at one time carry no information on how fast the star changes.
    apart = valid[:, 1:] & (step > 0)
    slowness = torch.where(apart, step, torch.inf).pow(-2)
    roughness = (slowness * mag.diff(dim=1).square()).sum(1)
    scaled = residual * (count / (count - 1)).sqrt()[:, None]
    product = scaled[:, :-1] * scaled[:, 1:]
    size = scaled.abs()
    normalised = (mag / err).masked_fill(~valid, torch.inf).sort(1).values
    columns = [
        count, median, mean, residual.square().sum(1) / (count - 1), (deviation / err * valid).sum(1) / (count - 1),
        wstd, (faintest - brightest) / (faintest + brightest), excess, mad,
        *(quantile[:, 2 + 2 * i] - quantile[:, 1 + 2 * i] for i in range(len(_RANGES))),
        skew, kurt, slowness.sum(1) * wstd.square() / roughness.clamp_min(1e-300), product.sum(1),
        (product.sign() * product.abs().sqrt()).sum(1),
        size.sum(1) / count / (size.square().sum(1) / count).sqrt().clamp_min(1e-300),
        anderson_darling(normalised, valid), shapiro_wilk(normalised, valid),
    ]  # fmt: skip
    return torch.stack(columns, 1)
