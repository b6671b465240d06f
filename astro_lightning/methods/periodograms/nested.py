"""The published period search: analysis of variance over the best peaks of Lomb-Scargle and conditional entropy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from astro_lightning.methods.periodograms.grid import FrequencyGrid, terrestrial
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.lomb_scargle import lomb_scargle
from astro_lightning.methods.periodograms.phase_statistics import analysis_of_variance, conditional_entropy

# Frequencies folded at once: their bins stay in the processor's cache.
FREQUENCIES_AT_ONCE = 2048
PEAKS = 50  # frequencies taken of each periodogram


def els_ece_eaov(
    curves: LightCurves,
    max_per_day: float = 48.0,
    oversample: float = 10.0,
    excise: bool = False,
) -> tuple[Tensor, Tensor]:
    """Union of the top Lomb-Scargle and the top (least) conditional-entropy frequencies, best of them by AOV.

    Args:
        curves: The light curves.
        max_per_day: Highest frequency, cycles a day.
        oversample: Grid points per 1 / baseline.
        excise: Whether to leave out the terrestrial zones.

    Returns:
        Period in days and significance (distance of the AOV from the mean over the candidates in their standard
        deviations), each of shape (curves,).
    """
    period, certainty = [], []
    for row in range(len(curves)):
        curve = curves[row : row + 1]
        grid = FrequencyGrid.over(float(curve.baseline_d[0]), max_per_day, oversample)
        frequency = grid.frequency_per_day[grid.first :]
        if excise:
            frequency = frequency[~terrestrial(frequency)]
        valid = curve.valid[0].cpu().numpy()
        time_d, mag, mag_err = (a[0].cpu().numpy()[valid] for a in (curve.time_d, curve.mag, curve.mag_err))
        power = lomb_scargle(time_d, mag, mag_err, grid)
        power = power[np.rint(frequency / grid.spacing_per_day).astype(np.int64) - 1]
        trial = torch.from_numpy(frequency).to(curve.mag.device)
        parts = [conditional_entropy(curve, part[None])[0] for part in trial.split(FREQUENCIES_AT_ONCE)]
        entropy = torch.cat(parts).cpu().numpy()
        best = np.union1d(np.argsort(power)[-PEAKS:], np.argsort(entropy)[:PEAKS])
        variance = analysis_of_variance(curve, trial[torch.from_numpy(best).to(trial.device)][None])[0]
        top = int(variance.argmax())
        period.append(1 / frequency[best[top]])
        certainty.append(float((variance[top] - variance.mean()).abs() / variance.std().clamp_min(1e-12)))
    found = torch.tensor([period, certainty], dtype=torch.float64, device=curves.mag.device)
    return found[0], found[1]
