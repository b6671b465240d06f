"""Is a sinusoid one wave or two? The curve at twice its best sine's period, outliers left out, turned to its own phase."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.harmonics import design, fit_harmonics
from astro_lightning.methods.periodograms.light_curves import LightCurves

DOUBLE_WAVE = (
    "amplitude", "scatter", "snr", "outliers", "sharpness", "skewness", "sharpness_snr", "odd_1", "odd_3", "odd_1_snr",
    "odd_3_snr", "odd_share", "unequal_dips", "unequal_maxima",
)  # fmt: skip
TERMS = 4
CLIP = 3.5


def double_wave(curves: LightCurves, sine_per_day: Tensor) -> Tensor:
    """Harmonics at half the best sine's frequency, relative to that sine (the second harmonic here).

    Two eclipses a turn make sharp minima (the fourth harmonic in phase with the second); unlike depths or maxima of a
    true double wave make odd harmonics, in phase with the dips or with the maxima. Pulsators have neither.

    Args:
        curves: The light curves.
        sine_per_day: Frequency of the best sinusoid of each, shape (curves,).

    Returns:
        Columns as named in DOUBLE_WAVE, float32, shape (curves, 14).
    """
    half = (sine_per_day / 2)[:, None]
    fits = fit_harmonics(curves, half, TERMS)
    fitted = (fits.coefficients(TERMS)[:, :, None] @ design(curves.time_d, half, TERMS, trend=False))[:, 0, 0]
    mean = (curves.weight * curves.mag).sum(1, keepdim=True) / curves.weight.sum(1, keepdim=True)
    residual = (curves.mag - mean - fitted).abs().masked_fill(~curves.valid, torch.nan)
    scatter = 1.4826 * residual.nanmedian(1, keepdim=True).values
    kept = replace(curves, valid=curves.valid & (residual < CLIP * scatter))
    coefficient = fit_harmonics(kept, half, TERMS).coefficients(TERMS)[:, 0, 1:]
    wave = torch.complex(coefficient[:, 0::2], -coefficient[:, 1::2])
    # Time zero at a maximum of the sine, in magnitudes: at a dip.
    turn = torch.angle(wave[:, 1:2]) / 2
    wave = wave * torch.polar(torch.ones_like(turn), -turn * torch.arange(1, TERMS + 1, device=turn.device))
    error = kept.weight.sum(1).clamp_min(1e-12).rsqrt()
    sine = wave[:, 1].abs().clamp_min(1e-9)
    size = wave.abs()
    return torch.stack([
        sine, scatter[:, 0], sine / error, 1 - kept.count / curves.count,
        wave[:, 3].real / sine, wave[:, 3].imag.abs() / sine, wave[:, 3].real / error,
        size[:, 0] / sine, size[:, 2] / sine, size[:, 0] / error, size[:, 2] / error,
        (size[:, 0].square() + size[:, 2].square()) / sine.square(),
        wave[:, 0].real.abs() / sine, wave[:, 0].imag.abs() / sine,
    ], 1).float()  # fmt: skip
