"""The 14 numbers that describe a light curve folded at its period."""

from __future__ import annotations

import torch
from torch import Tensor

from astro_lightning.methods.periodograms.harmonics import fit_harmonics
from astro_lightning.methods.periodograms.light_curves import LightCurves

TERMS = 5
FOURIER = (
    "f1_power", "f1_BIC", "f1_a", "f1_b", "f1_amp", "f1_phi0",
    *(f"f1_relamp{k}" for k in range(1, TERMS)), *(f"f1_relphi{k}" for k in range(1, TERMS)),
)  # fmt: skip


def fourier_features(curves: LightCurves, period_d: Tensor) -> Tensor:
    """Fourier series of 0 to 5 harmonics plus a line in time; the one of least BIC is described.

    Args:
        curves: The light curves.
        period_d: Period of each, shape (curves,).

    Returns:
        Columns as named in FOURIER, float64, shape (curves, 14). f1_a is the value at the first observation and f1_b
        the slope in mag a day; what the chosen fit does not use is 0.
    """
    fits = fit_harmonics(curves, 1 / period_d[:, None], TERMS, trend=True)
    chi2 = fits.chi2[:, 0]
    order = torch.arange(TERMS + 1, device=chi2.device)
    bic = chi2 + curves.count.log()[:, None] * (2 + 2 * order)
    least, terms = bic.min(1)
    coefficient = fits.coefficients(terms[:, None])[:, 0]
    weight = curves.weight
    mean = (weight * curves.mag).sum(1) / weight.sum(1)
    # The power is of the periodic part alone: relative to the line.
    power = (chi2[:, 0] - chi2.gather(1, terms[:, None])[:, 0]) / chi2[:, 0].clamp_min(1e-300)
    slope = coefficient[:, 1] / curves.baseline_d.clamp_min(1e-9)
    cos, sin = coefficient[:, 2::2], coefficient[:, 3::2]
    used = order[1:] <= terms[:, None]
    amp, phase = torch.hypot(cos, sin), torch.atan2(cos, sin)
    relative = amp[:, 1:] / amp[:, :1].clamp_min(1e-300)
    # Between two harmonics' maxima, in turns of the higher one.
    turn = 2 * torch.pi / order[2:]
    shift = torch.remainder((phase[:, 1:] / order[2:] - phase[:, :1]) / turn, 1.0)
    head = torch.stack([power, least, mean + coefficient[:, 0], slope], 1)
    return torch.cat([head, amp[:, :1], phase[:, :1], relative * used[:, 1:], shift * used[:, 1:]], 1)
