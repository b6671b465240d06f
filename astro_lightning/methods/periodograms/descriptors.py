"""What a chooser needs to know about every candidate period of a light curve."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.candidates import RATIOS
from astro_lightning.methods.periodograms.harmonics import fit_harmonics
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.phase_statistics import (
    analysis_of_variance,
    conditional_entropy,
    fold_statistics,
)

TERMS = 6
PHASES = 48

_SHARES = tuple(f"share_{k}" for k in range(1, TERMS + 1))
_SHAPE = (*_SHARES, "skew", "faint_share", "odd_r2", "dips", "dip_ratio", "dip_gap")
WAVE = ("r2", "amplitude", *(f"ratio_{k}1" for k in range(2, 5)), *(f"phi_{k}1" for k in range(2, 5)), *_SHAPE)
_MERITS = ("r2_1", "r2_2", "r2_3", "r2_4", "r2_6", "log_aov", "order", "smoothness", "sum_power")
DESCRIPTORS = (
    "log_period", "alias_per_day", "window", "phase_gap",
    *(f"power_at_{ratio:g}f" for ratio in RATIOS),
    *_MERITS, *(f"{name}_below_best" for name in _MERITS), "period_over_best_sine", "period_over_best_sum",
    *_SHAPE, "double_gain", *(f"double_{name}" for name in _SHAPE),
)  # fmt: skip


def describe_candidates(curves: LightCurves, frequency_per_day: Tensor, power_at: Tensor) -> Tensor:
    """Merit, shape and alias measures of candidate periods, each also relative to the curve's best candidate.

    Args:
        curves: The light curves.
        frequency_per_day: Candidates in cycles a day, shape (curves, candidates).
        power_at: Lomb-Scargle power at RATIOS times each, shape (curves, candidates, len(RATIOS)).

    Returns:
        Shape (curves, candidates, len(DESCRIPTORS)), float32.
    """
    fits = fit_harmonics(curves, frequency_per_day, TERMS)
    r2 = 1 - fits.chi2 / fits.chi2_constant[..., None].clamp_min(1e-12)
    double = fit_harmonics(curves, frequency_per_day / 2, TERMS)
    double_r2 = 1 - double.chi2[..., -1] / double.chi2_constant.clamp_min(1e-12)
    fold = fold_statistics(curves, frequency_per_day)
    sum_power = power_at[..., 1:].sum(-1)
    merit = torch.stack([
        r2[..., 1], r2[..., 2], r2[..., 3], r2[..., 4], r2[..., 6],
        analysis_of_variance(curves, frequency_per_day).clamp_min(1e-3).log(),
        -conditional_entropy(curves, frequency_per_day), -fold[..., 0], sum_power,
    ], -1)  # fmt: skip
    log_period = -frequency_per_day.clamp_min(1e-6).log10()
    best_sine = log_period.gather(1, power_at[..., 1].argmax(1, keepdim=True))
    best_sum = log_period.gather(1, sum_power.argmax(1, keepdim=True))
    # The sampling's own response: the length of the first harmonic's mean vector, kept in the normal matrix's factor.
    window = torch.linalg.vector_norm(fits.factor[..., 1:3, 0], dim=-1) / fits.factor[..., 0, 0]
    return torch.cat([
        log_period[..., None], (frequency_per_day - frequency_per_day.round()).abs()[..., None], window[..., None],
        fold[..., 1:], power_at, merit, merit - merit.amax(1, keepdim=True),
        (log_period - best_sine)[..., None], (log_period - best_sum)[..., None],
        _shape(fits.coefficients(TERMS)[..., 1:], r2[..., -1]),
        (double_r2 - r2[..., 3])[..., None], _shape(double.coefficients(TERMS)[..., 1:], double_r2),
    ], -1).float()  # fmt: skip


def wave(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Shape of the folded curve at one frequency each, all six harmonics fitted.

    Args:
        curves: The light curves.
        frequency_per_day: Frequencies in cycles a day, shape (curves,).

    Returns:
        Columns as named in WAVE (phases phi_k - k phi_1 in turns), shape (curves, len(WAVE)), float32.
    """
    fits = fit_harmonics(curves, frequency_per_day[:, None], TERMS)
    r2 = (1 - fits.chi2[..., -1] / fits.chi2_constant.clamp_min(1e-12))[:, 0]
    coefficient = fits.coefficients(TERMS)[:, 0, 1:]
    amplitude = torch.hypot(coefficient[:, 0::2], coefficient[:, 1::2])
    phase = torch.atan2(-coefficient[:, 1::2], coefficient[:, 0::2]) / (2 * torch.pi)
    order = torch.arange(1, TERMS + 1, device=phase.device)
    relative = torch.remainder(phase - order * phase[:, :1], 1.0)
    return torch.cat([
        r2[:, None], amplitude.square().sum(1, keepdim=True).sqrt(),
        (amplitude[:, 1:4] / amplitude[:, :1].clamp_min(1e-9)).clamp_max(100.0), relative[:, 1:4],
        _shape(coefficient, r2),
    ], 1).float()  # fmt: skip


def _shape(coefficient: Tensor, r2: Tensor) -> Tensor:
    """Shape of a fitted Fourier series (A_1, B_1, ...): harmonic shares, skewness, dips; shape (..., len(_SHAPE))."""
    energy = coefficient.unflatten(-1, (TERMS, 2)).square().sum(-1)
    share = energy / energy.sum(-1, keepdim=True).clamp_min(1e-12)
    phase = torch.arange(PHASES, device=coefficient.device) / PHASES * 2 * torch.pi
    order = torch.arange(1, TERMS + 1, device=coefficient.device)[:, None]
    wave = torch.stack([torch.cos(order * phase), torch.sin(order * phase)], 1).flatten(0, 1).double()
    curve = coefficient @ wave
    spread = curve.square().mean(-1).clamp_min(1e-12).sqrt()
    skew = curve.pow(3).mean(-1) / spread.pow(3)
    low, high = curve.amin(-1), curve.amax(-1)
    faint = (curve > ((low + high) / 2)[..., None]).double().mean(-1)
    odd = share[..., 0::2].sum(-1) * r2
    # Magnitudes: a dip is a local maximum. Compare the deepest with the next one.
    dip = (curve >= curve.roll(1, -1)) & (curve > curve.roll(-1, -1))
    depth = torch.where(dip, (curve - low[..., None]) / (high - low).clamp_min(1e-12)[..., None], 0)
    two, place = depth.topk(2, -1)
    gap = (place[..., 0] - place[..., 1]).abs() / PHASES
    return torch.cat([
        share,
        torch.stack([skew, faint, odd, (depth > 0.15).double().sum(-1), two[..., 1] / two[..., 0].clamp_min(1e-12),
                     torch.minimum(gap, 1 - gap)], -1),
    ], -1)  # fmt: skip
