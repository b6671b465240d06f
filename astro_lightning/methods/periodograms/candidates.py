"""Candidate periods of a light curve: peaks of the periodogram and of its sums over harmonics, refined."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from astro_lightning.methods.periodograms.grid import FrequencyGrid, terrestrial
from astro_lightning.methods.periodograms.harmonics import refine
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.lomb_scargle import harmonic_sum, lomb_scargle
from astro_lightning.methods.periodograms.peaks import significance, top_peaks

# Eclipsing binaries put their power into harmonics: each sum catches what the plain periodogram ranks low.
PEAKS_OF_SUM = {1: 12, 2: 12, 4: 8, 6: 8}
# Halves and doubles of the best peaks (frequency ratios), since two like minima look like one at half the period.
MULTIPLES = {1: 3, 2: 2}
CANDIDATES = sum(PEAKS_OF_SUM.values()) + 2 * sum(MULTIPLES.values())
# Where the periodogram of a candidate is looked up, in units of its frequency.
RATIOS = (0.5, 1.0, 2.0, 3.0, 4.0)
OVERSAMPLE = 6  # grid points per 1 / baseline


def candidate_periods(
    curves: LightCurves, max_per_day: float = 20.0, excise: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Search each curve's periodogram.

    Args:
        curves: The light curves.
        max_per_day: Highest frequency searched.
        excise: Whether to leave out the terrestrial zones.

    Returns:
        frequency: Refined candidates in cycles a day, shape (curves, CANDIDATES); a curve with fewer peaks repeats its
            first.
        power: Lomb-Scargle power at RATIOS times each candidate, largest within a resolution element,
            shape (curves, CANDIDATES, len(RATIOS)).
        best: Per curve, frequency of the highest Lomb-Scargle peak (refined as a sinusoid), its power and its
            significance, shape (curves, 3).
    """
    frequency = np.empty((len(curves), CANDIDATES))
    power_at = np.empty((len(curves), CANDIDATES, len(RATIOS)))
    best = np.empty((len(curves), 3))
    columns = (curves.time_d, curves.mag, curves.mag_err, curves.valid)
    baseline = curves.baseline_d.tolist()
    # One periodogram has a million entries: curve by curve, they stay in the processor's cache.
    for row, (time_d, mag, mag_err, valid) in enumerate(zip(*(column.cpu().numpy() for column in columns))):
        grid = FrequencyGrid.over(baseline[row], max_per_day, OVERSAMPLE)
        power = lomb_scargle(time_d[valid], mag[valid], mag_err[valid], grid)
        if excise:
            power[terrestrial(grid.frequency_per_day)] = 0
        found = _peaks_with_multiples(power)
        if excise:  # a half or a double may lie in a zone
            found[terrestrial(grid.spacing_per_day * (found + 1))] = found[0]
        frequency[row] = grid.spacing_per_day * (found + 1)
        power_at[row] = _power_near(power, np.multiply.outer(found + 1, RATIOS) - 1, reach=OVERSAMPLE // 2)
        top = int(power.argmax())
        best[row] = grid.spacing_per_day * (top + 1), power[top], significance(power[grid.first :], power[top])
    device = curves.mag.device
    refined = refine(curves, torch.from_numpy(frequency).to(device))
    best_of = torch.from_numpy(best).to(device)
    best_of[:, :1] = refine(curves, best_of[:, :1], terms=1)
    return refined, torch.from_numpy(power_at).to(device), best_of


def _peaks_with_multiples(power: np.ndarray) -> np.ndarray:
    """Grid positions (not whole for halves) of the candidates of one periodogram, shape (CANDIDATES,)."""
    peaks = {
        terms: top_peaks(harmonic_sum(power, terms) if terms > 1 else power, count, OVERSAMPLE)
        for terms, count in PEAKS_OF_SUM.items()
    }
    multiples = [
        np.concatenate([(peaks[terms][:count] + 1) * ratio - 1 for ratio in (0.5, 2.0)])
        for terms, count in MULTIPLES.items()
    ]
    found = np.concatenate([*peaks.values(), *multiples])
    found = np.clip(found, 0.0, len(power) - 1) if len(found) else np.zeros(1)
    return np.concatenate([found, np.full(CANDIDATES - len(found), found[0])])


def _power_near(power: np.ndarray, place: np.ndarray, reach: int) -> np.ndarray:
    """Largest power within `reach` entries of each place; 0 beyond the grid."""
    near = np.rint(place).astype(np.int64)[..., None] + np.arange(-reach, reach + 1)
    inside = (near >= 0) & (near < len(power))
    return np.where(inside, power[near.clip(0, len(power) - 1)], 0).max(-1)
