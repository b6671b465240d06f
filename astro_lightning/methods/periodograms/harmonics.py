"""Weighted least-squares fits of Fourier series, all model sizes from one factorisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.light_curves import LightCurves


@dataclass(frozen=True)
class HarmonicFits:
    """Fits of c + d t + sum_k [A_k cos(2 pi k f t) + B_k sin(2 pi k f t)], nested in the number of harmonics.

    Attributes:
        chi2_constant: Chi-squared about the weighted mean, shape (curves, frequencies).
        chi2: Chi-squared with 0, 1, ..., terms harmonics, shape (curves, frequencies, terms + 1).
        factor: Lower Cholesky factor of the normal matrix, shape (curves, frequencies, columns, columns).
        projection: Factor's solution of the right-hand side, shape (curves, frequencies, columns).
        linear: Columns before the first harmonic: 1, or 2 with a trend.
    """

    chi2_constant: Tensor
    chi2: Tensor
    factor: Tensor
    projection: Tensor
    linear: int

    def coefficients(self, terms: Tensor | int) -> Tensor:
        """Coefficients of the fit with `terms` harmonics (a number for each curve and frequency, or one for all).

        Returns:
            constant (relative to the weighted mean), trend if fitted, A_1, B_1, A_2, ...; unused terms 0;
            shape (curves, frequencies, columns).
        """
        columns = self.projection.shape[-1]
        used = self.linear + 2 * torch.as_tensor(terms, device=self.projection.device)[..., None]
        used = (torch.arange(columns, device=self.projection.device) < used).expand_as(self.projection)
        # A leading block of the factor is the factor of the smaller model: cut the rest loose and solve once.
        block = self.factor * (used[..., :, None] & used[..., None, :])
        block = block + torch.diag_embed((~used).double())
        solved = torch.linalg.solve_triangular(block.mT, (self.projection * used)[..., None], upper=True)
        return solved[..., 0]


def design(time_d: Tensor, frequency_per_day: Tensor, terms: int, trend: bool) -> Tensor:
    """Columns 1, (t,) cos, sin, cos 2, sin 2, ... for every curve, frequency and point.

    Args:
        time_d: Shape (curves, points).
        frequency_per_day: Shape (curves, frequencies).
        terms: Number of harmonics.
        trend: Whether to have a column that is linear in time.

    Returns:
        Shape (curves, frequencies, columns, points).
    """
    turn = torch.remainder(time_d[:, None] * frequency_per_day[..., None], 1.0) * (2 * torch.pi)
    cos, sin = torch.cos(turn), torch.sin(turn)
    columns = turn.new_empty((*turn.shape[:2], 1 + trend + 2 * terms, turn.shape[2]))
    columns[:, :, 0] = 1
    if trend:
        columns[:, :, 1] = (time_d / time_d.amax(1, keepdim=True).clamp_min(1e-9))[:, None]
    start = 1 + int(trend)
    for term in range(terms):  # angle addition: two sines for any number of harmonics
        place = start + 2 * term
        if term == 0:
            columns[:, :, place], columns[:, :, place + 1] = cos, sin
        else:
            before_cos, before_sin = columns[:, :, place - 2], columns[:, :, place - 1]
            columns[:, :, place] = before_cos * cos - before_sin * sin
            columns[:, :, place + 1] = before_sin * cos + before_cos * sin
    return columns


def fit_harmonics(curves: LightCurves, frequency_per_day: Tensor, terms: int, trend: bool = False) -> HarmonicFits:
    """Fit Fourier series of 0 to `terms` harmonics at given frequencies.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies in cycles a day, shape (curves, frequencies).
        terms: Largest number of harmonics.
        trend: Whether to fit a line in time as well.
    """
    weight = curves.weight
    mean = (weight * curves.mag).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    residual = (curves.mag - mean) * curves.valid
    chi2_constant = (weight * residual.square()).sum(1)[:, None].expand(frequency_per_day.shape)
    columns = design(curves.time_d, frequency_per_day, terms, trend)
    weighted = columns * weight[:, None, None]
    normal = weighted @ columns.mT
    right = (weighted @ residual[:, None, :, None])[..., 0]
    # A relative ridge of 1e-9 keeps the factor real where a harmonic is not sampled; elsewhere below the noise.
    normal.diagonal(dim1=-2, dim2=-1).mul_(1 + 1e-9).add_(1e-30)
    factor = torch.linalg.cholesky_ex(normal).L
    projection = torch.linalg.solve_triangular(factor, right[..., None], upper=False)[..., 0]
    explained = projection.square().cumsum(-1)[..., int(trend) :: 2]
    return HarmonicFits(
        chi2_constant, (chi2_constant[..., None] - explained).clamp_min(0), factor, projection, 1 + int(trend)
    )


def softened(curves: LightCurves) -> LightCurves:
    """The curves with their own scatter added to the errors: near equal weights where a star is not strictly periodic.

    The formal errors of a bright long-period variable are a hundredth of what it differs by from cycle to cycle.
    """
    mean = (curves.mag * curves.valid).sum(1, keepdim=True) / curves.count[:, None]
    variance = ((curves.mag - mean).square() * curves.valid).sum(1, keepdim=True) / curves.count[:, None]
    return replace(curves, mag_err=(curves.mag_err.square() + variance).sqrt())


def refine(curves: LightCurves, frequency_per_day: Tensor, terms: int = 2, steps: int = 3) -> Tensor:
    """Move frequencies to the nearest optimum of a Fourier fit by Gauss-Newton steps.

    Args:
        curves: The light curves.
        frequency_per_day: Starting points in cycles a day, within about 0.3 / baseline; shape (curves, frequencies).
        terms: Number of harmonics of the fit.
        steps: Number of steps; each is at most 0.1 / baseline.

    Returns:
        Refined frequencies, same shape; a starting point stays where no step lowers chi-squared.
    """
    limit = 0.1 / curves.baseline_d.clamp_min(1e-9)[:, None]
    weight = curves.weight
    mean = (weight * curves.mag).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    order = torch.arange(1, terms + 1, device=frequency_per_day.device, dtype=torch.float64)
    best, best_chi2 = frequency_per_day, torch.full_like(frequency_per_day, torch.inf)
    frequency = frequency_per_day
    for _ in range(steps):
        fits = fit_harmonics(curves, frequency, terms)
        chi2 = fits.chi2[..., -1]
        better = chi2 < best_chi2
        best, best_chi2 = torch.where(better, frequency, best), torch.where(better, chi2, best_chi2)
        columns = design(curves.time_d, frequency, terms, trend=False)
        coefficient = fits.coefficients(terms)
        fitted = (coefficient[:, :, None] @ columns)[:, :, 0]
        tilt = torch.stack([coefficient[..., 2::2], -coefficient[..., 1::2]], -1) * order[:, None]
        slope = (tilt.flatten(-2)[:, :, None] @ columns[:, :, 1:])[:, :, 0] * (2 * torch.pi * curves.time_d[:, None])
        # Project the slope off the fitted columns: the coefficients follow the frequency.
        along = torch.linalg.solve_triangular(
            fits.factor, (columns * weight[:, None, None]) @ slope[..., None], upper=False
        )[..., 0]
        denominator = (weight[:, None] * slope.square()).sum(-1) - along.square().sum(-1)
        numerator = (weight[:, None] * slope * (curves.mag - mean)[:, None]).sum(-1)
        numerator = numerator - (weight[:, None] * slope * fitted).sum(-1)
        step = numerator / denominator.clamp_min(1e-30)
        frequency = (best + torch.where(better, step, 0.5 * (frequency - best)).clamp(-limit, limit)).clamp_min(1e-6)
    chi2 = fit_harmonics(curves, frequency, terms).chi2[..., -1]
    return torch.where(chi2 < best_chi2, frequency, best)
