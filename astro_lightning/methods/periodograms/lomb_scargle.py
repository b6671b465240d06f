"""The generalised Lomb-Scargle periodogram and its sum over harmonics."""

from __future__ import annotations

import numpy as np
from astropy.timeseries import LombScargle

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.periodograms.grid import FrequencyGrid
from astro_lightning.methods.periodograms.light_curves import check_observations

try:
    import nifty_ls
except ImportError:  # slower, same numbers
    nifty_ls = None


def lomb_scargle(time_d: np.ndarray, mag: np.ndarray, mag_err: np.ndarray, grid: FrequencyGrid) -> np.ndarray:
    """Fraction of the weighted variance that a sinusoid plus a constant takes away (Zechmeister & Kuerster 2009).

    Args:
        time_d: Times in days, shape (points,), float64: a float32 day number resolves a quarter of a day.
        mag: Magnitudes, shape (points,).
        mag_err: Errors, shape (points,).
        grid: Frequencies; entries before `grid.first` get power 0.

    Returns:
        Power in [0, 1], float64, shape (grid.count,).

    Raises:
        BadInput: The three differ in shape, a value is not finite, or an error not positive.
    """
    # The fast transform takes arrays of one type alone.
    time_d, mag, mag_err = (np.asarray(values, dtype=np.float64) for values in (time_d, mag, mag_err))
    if not time_d.shape == mag.shape == mag_err.shape or time_d.ndim != 1:
        raise BadInput(
            f"time_d, mag and mag_err have shapes {time_d.shape}, {mag.shape}, {mag_err.shape}: give (points,)"
        )
    check_observations(time_d, mag, mag_err)
    spacing = grid.spacing_per_day
    if nifty_ls is not None:
        power = nifty_ls.lombscargle(
            time_d, mag, mag_err, fmin=spacing, fmax=spacing * grid.count, Nf=grid.count, nthreads=1
        ).power
    else:
        power = LombScargle(time_d, mag, mag_err).power(
            grid.frequency_per_day, method="fast", assume_regular_frequency=True
        )
    power = np.nan_to_num(power).clip(0, 1)
    power[: grid.first] = 0
    return power


def harmonic_sum(power: np.ndarray, terms: int) -> np.ndarray:
    """Sum of the power at a frequency and its first harmonics: high at the true period of an eclipsing binary.

    Args:
        power: Periodogram on a `FrequencyGrid`, shape (count,).
        terms: Number of harmonics, the fundamental included.

    Returns:
        Sums for the frequencies whose highest harmonic lies on the grid, shape (count // terms,).
    """
    count = len(power) // terms
    total = power[:count].copy()
    for term in range(2, terms + 1):
        total += power[term - 1 : term * count : term]
    return total
