"""The same source moved to another redshift."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from astro_lightning.tasks.plasticc.light_curves import LightCurves


def draw_redshift(redshift: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """New redshifts, log-uniform from 0.95 z to the lesser of 5 z and 1.4 (1 + z) - 1 (Boone 2019, arXiv:1907.04690).

    Args:
        redshift: (B,); NaN or not positive stays as it is (unknown, or Galactic).
        rng: draws.
        strength: exponent of both bounds' ratio to z: 0 changes nothing, 1 is the published range.
    """
    z = np.where(redshift > 0, redshift, 1.0)
    highest = np.minimum(5.0, (1.4 * (1 + z) - 1) / z)
    ratio = np.exp(strength * rng.uniform(np.log(0.95), np.log(highest)))
    return np.where(redshift > 0, redshift * ratio, redshift)


def shift_redshift(
    curves: LightCurves,
    redshift: np.ndarray,
    new_redshift: np.ndarray,
    rng: np.random.Generator,
    wavelength_nm: Sequence[float],
    max_gap_days: float = 30.0,
    detection_snr: float = 5.0,
) -> tuple[LightCurves, np.ndarray]:
    """Move each source to `new_redshift`: dilated in time, fainter or brighter, and shifted in wavelength.

    In place of a Gaussian process the flux in a band at the new redshift is read off the observed light curves: the
    band's wavelength goes back to the observed frame, and the flux there is interpolated linearly in wavelength
    between the two nearest bands, and in each of these linearly in time. Beyond the bluest or reddest band the
    nearest band stands in. An observation with no data within `max_gap_days` in either band is dropped; an object
    that would lose all stays as it was. Times are dilated about the highest signal-to-noise ratio, so the cadence
    stretches with them.

    Fluxes are densities per frequency (AB zero point): they scale by (D_L / D_L')^2 (1 + z') / (1 + z), in flat LCDM
    with H0 = 70, Om = 0.3. Noise is added where the scaled error falls below the error of the original observation,
    so that a distant copy of a bright source does not have impossibly small errors.

    Args:
        curves: light curves of B objects.
        redshift: (B,); NaN or not positive = leave the object as it is.
        new_redshift: (B,).
        rng: draws the noise.
        wavelength_nm: effective wavelength of each band.
        max_gap_days: furthest observation to interpolate from.
        detection_snr: signal-to-noise ratio above which a new observation is called detected.

    Returns:
        The light curves, and (B,) bool: the object was moved.
    """
    moved = (redshift > 0) & (new_redshift > 0)
    z, new_z = np.where(moved, redshift, 1.0), np.where(moved, new_redshift, 1.0)
    stretch = (1 + new_z) / (1 + z)
    owner = curves.owner

    flux, variance, found = _flux_at(curves, np.asarray(wavelength_nm), stretch, max_gap_days)
    moved = moved & (np.bincount(owner[found], minlength=len(curves)) > 0)

    scale = (stretch * (luminosity_distance(z) / luminosity_distance(new_z)) ** 2)[owner]
    extra = np.maximum(curves.flux_err.astype(np.float64) ** 2 - scale**2 * variance, 0)
    new_flux = scale * flux + rng.normal(size=len(flux)) * np.sqrt(extra)
    new_err = np.sqrt(scale**2 * variance + extra)

    changed = moved[owner]
    reference = curves.mjd_of_highest_snr()[owner]
    shifted = curves.with_columns(
        mjd=np.where(changed, reference + (curves.mjd - reference) * stretch[owner], curves.mjd),
        flux=np.where(changed, new_flux, curves.flux),
        flux_err=np.where(changed, new_err, curves.flux_err),
        detected=np.where(changed, new_flux > detection_snr * new_err, curves.detected),
    )
    return shifted.keep(found | ~changed), moved


def luminosity_distance(redshift: np.ndarray) -> np.ndarray:
    """Luminosity distance in Mpc (flat LCDM, H0 = 70, Om = 0.3), interpolated in a table from z = 1e-4 to 20."""
    log_z, log_distance = _distance_table()
    return np.exp(np.interp(np.log(redshift), log_z, log_distance))


@lru_cache(maxsize=1)
def _distance_table() -> tuple[np.ndarray, np.ndarray]:
    from astropy.cosmology import FlatLambdaCDM

    z = np.geomspace(1e-4, 20, 2000)
    return np.log(z), np.log(FlatLambdaCDM(H0=70, Om0=0.3).luminosity_distance(z).value)


def _flux_at(
    curves: LightCurves, wavelength_nm: np.ndarray, stretch: np.ndarray, max_gap_days: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux and variance at each observation's time and its wavelength over `stretch`, and where data was found."""
    ascending = np.argsort(wavelength_nm)
    owner = curves.owner
    source_nm = wavelength_nm[curves.band] / stretch[owner]
    place = np.interp(source_nm, wavelength_nm[ascending], np.arange(len(ascending)))
    below = np.minimum(place.astype(np.int64), max(len(ascending) - 2, 0))
    above = np.minimum(below + 1, len(ascending) - 1)
    share = place - below

    banded = curves.by_band(len(wavelength_nm))
    total, flux, variance = np.zeros(len(owner)), np.zeros(len(owner)), np.zeros(len(owner))
    for band, weight in ((ascending[below], 1 - share), (ascending[above], share)):
        row = owner * len(wavelength_nm) + band
        band_flux, band_variance, found = _interpolate_in_time(banded, row, curves.mjd, max_gap_days)
        weight = weight * found
        total += weight
        flux += weight * band_flux
        variance += weight**2 * band_variance
    found = total > 0
    total = np.where(found, total, 1.0)
    return flux / total, variance / total**2, found


def _interpolate_in_time(
    banded: LightCurves, row: np.ndarray, mjd: np.ndarray, max_gap_days: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux and variance of curves `row` at `mjd`, held beyond the ends, and whether an observation is near enough."""
    start, end = banded.offsets[row], banded.offsets[row + 1]
    if not len(mjd):
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool)
    # one ascending key over all curves, so that a single search serves them all
    span = np.ptp(banded.mjd) + 1.0
    first = banded.mjd.min()
    key = banded.owner * span + (banded.mjd - first)
    place = np.searchsorted(key, row * span + (mjd - first))
    last = len(banded.mjd) - 1
    right = np.minimum(np.clip(place, start, np.maximum(end - 1, start)), last)
    left = np.minimum(np.clip(place - 1, start, np.maximum(end - 1, start)), last)
    interval = banded.mjd[right] - banded.mjd[left]
    weight = np.clip(np.divide(mjd - banded.mjd[left], interval, out=np.zeros(len(mjd)), where=interval > 0), 0, 1)
    flux = (1 - weight) * banded.flux[left] + weight * banded.flux[right]
    error = banded.flux_err.astype(np.float64)
    variance = ((1 - weight) * error[left]) ** 2 + (weight * error[right]) ** 2
    nearest = np.minimum(np.abs(mjd - banded.mjd[left]), np.abs(mjd - banded.mjd[right]))
    return flux, variance, (end > start) & (nearest <= max_gap_days)
