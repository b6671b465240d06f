"""What is left of a light curve once its period is taken out: second modes, modulation, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from astro_lightning.methods.periodograms.grid import FrequencyGrid
from astro_lightning.methods.periodograms.harmonics import design, fit_harmonics
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.lomb_scargle import lomb_scargle

SECOND = (
    "left_r2", "left_chi2red", "second_power", "second_significance", "second_log_period", "second_over_first",
    "overtone_power", "fundamental_power", "sidelobe_power", "double_sidelobe_power", "half_power",
)  # fmt: skip
# Period ratio of the first overtone to the fundamental mode of an RR Lyrae star (Petersen diagram).
MODE_RATIO = (0.738, 0.752)
# Blazhko modulation puts side lobes within this many cycles a day of a harmonic.
SIDELOBE_PER_DAY = 0.1
TERMS = 6  # of the series that is taken out
MAX_PER_DAY = 6.0  # highest frequency searched in what is left


def prewhitened(curves: LightCurves, frequency_per_day: Tensor) -> LightCurves:
    """The curves less their best Fourier series at a frequency each, shape (curves,)."""
    fits = fit_harmonics(curves, frequency_per_day[:, None], TERMS)
    columns = design(curves.time_d, frequency_per_day[:, None], TERMS, trend=False)
    fitted = (fits.coefficients(TERMS)[:, :, None] @ columns)[:, 0, 0]
    mean = (curves.weight * curves.mag).sum(1, keepdim=True) / curves.weight.sum(1, keepdim=True)
    return replace(curves, mag=(curves.mag - mean - fitted) * curves.valid)


def second_period(curves: LightCurves, frequency_per_day: Tensor) -> Tensor:
    """Periodogram of the residuals, looked at where double-mode and modulated pulsators have power.

    Args:
        curves: The light curves.
        frequency_per_day: Chosen frequency of each, shape (curves,).

    Returns:
        Columns as named in SECOND, shape (curves, 11), float32.
    """
    left = prewhitened(curves, frequency_per_day)
    chi2 = (left.weight * left.mag.square()).sum(1)
    mean = (curves.weight * curves.mag).sum(1, keepdim=True) / curves.weight.sum(1, keepdim=True)
    before = (curves.weight * (curves.mag - mean).square()).sum(1).clamp_min(1e-12)
    out = np.empty((len(curves), len(SECOND)), np.float32)
    out[:, 0] = (chi2 / before).cpu()
    out[:, 1] = (chi2 / (curves.count - 13).clamp_min(1)).log1p().cpu()
    first = frequency_per_day.cpu().numpy()
    baseline = curves.baseline_d.cpu().numpy()
    columns = (left.time_d, left.mag, left.mag_err, left.valid)
    for row, (time_d, mag, mag_err, valid) in enumerate(zip(*(column.cpu().numpy() for column in columns))):
        grid = FrequencyGrid.over(baseline[row], MAX_PER_DAY, oversample=5.0)
        power = lomb_scargle(time_d[valid], mag[valid], mag_err[valid], grid)
        best = int(power.argmax())
        resolution = 1 / max(baseline[row], 1e-3)
        f = first[row]

        def within(low: float, high: float) -> float:
            place = np.clip([low / grid.spacing_per_day - 1, high / grid.spacing_per_day], 0, grid.count)  # noqa: B023
            return float(power[int(place[0]) : max(int(place[1]) + 1, int(place[0]) + 1)].max(initial=0))  # noqa: B023

        def lobes(centre: float) -> float:
            near, far = 0.7 * resolution, SIDELOBE_PER_DAY  # noqa: B023
            return max(within(centre - far, centre - near), within(centre + near, centre + far))

        out[row, 2:] = (
            power[best],
            (power[best] - power.mean()) / max(power.std(), 1e-9),
            -np.log10(grid.spacing_per_day * (best + 1)),
            np.log10(grid.spacing_per_day * (best + 1) / f),
            within(f / MODE_RATIO[1], f / MODE_RATIO[0]),
            within(f * MODE_RATIO[0], f * MODE_RATIO[1]),
            lobes(f),
            lobes(2 * f),
            within(f / 2 - resolution, f / 2 + resolution),
        )
    return torch.from_numpy(out).to(curves.mag.device)
