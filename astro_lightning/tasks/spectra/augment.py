"""Augmentation that takes the instrument out of real spectra."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astro_lightning.data.surveys.spectra_grid import N_PIXELS, START_A, STEP_A, WAVELENGTH_A
from astro_lightning.tasks.spectra.library import Floats
from astro_lightning.tasks.spectra.observe import cover, miscalibrate, noise_shape, smooth_rows

GRID_A = WAVELENGTH_A.astype(np.float32)
MIN_Z = 0.004


@dataclass(frozen=True)
class Augment:
    """Probabilities with which each change happens to a training spectrum.

    Attributes:
        tilt: Smooth change of the flux calibration and a step between two arms.
        resolution: Smoothing by a Gaussian of up to 4 pixels.
        cutout: Truncated ends and dead runs.
        redshift: Moving a galaxy or quasar to another redshift.
        noise: Degrading to a lower signal-to-noise ratio, sky residuals included.
        min_snr: Lowest signal-to-noise ratio that `noise` degrades to.
    """

    tilt: float = 0.6
    resolution: float = 0.3
    cutout: float = 0.5
    redshift: float = 0.5
    noise: float = 0.5
    min_snr: float = 2.0

    def __call__(
        self, flux: Floats, ivar: Floats, z: Floats, extragalactic: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Change spectra.

        Args:
            flux: (n, 2600), NaN allowed where `ivar` is 0.
            ivar: (n, 2600).
            z: (n,) redshift, NaN where not known.
            extragalactic: (n,) whether the spectrum may be redshifted.
            rng: Source of all randomness.

        Returns:
            New flux and inverse variance, flux 0 where there are no data.
        """
        n = len(flux)
        ivar = np.where(np.isfinite(flux), ivar, 0).astype(np.float32)
        flux = np.where(ivar > 0, flux, 0).astype(np.float32)
        moved = np.flatnonzero(extragalactic & (z > MIN_Z) & (rng.random(n) < self.redshift))
        if len(moved):
            flux[moved], ivar[moved] = _redshift(flux[moved], ivar[moved], z[moved], rng)
        row = np.flatnonzero(rng.random(n) < self.tilt)
        if len(row):
            flux[row] = miscalibrate(flux[row], GRID_A, rng)
        row = np.flatnonzero(rng.random(n) < self.resolution)
        if len(row):
            flux[row] = _smooth(flux[row], ivar[row], rng.uniform(0.5, 4, len(row)).astype(np.float32))
        row = np.flatnonzero(rng.random(n) < self.noise)
        if len(row):
            flux[row], ivar[row] = _degrade(flux[row], ivar[row], self.min_snr, rng)
        row = np.flatnonzero(rng.random(n) < self.cutout)
        if len(row):
            seen = cover(len(row), GRID_A, rng)
            # Never leave less than a third of what there was.
            keep = (seen & (ivar[row] > 0)).sum(1) > (ivar[row] > 0).sum(1) / 3
            ivar[row] = np.where(seen | ~keep[:, None], ivar[row], 0)
        return np.where(ivar > 0, flux, 0).astype(np.float32), ivar


def _redshift(flux: Floats, ivar: Floats, z: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Stretch by a factor within 15%, never below the redshift of a very near galaxy."""
    factor = np.exp(rng.uniform(-0.15, 0.15, len(z)))
    factor = np.maximum(factor, (1 + MIN_Z) / (1 + z))
    position = (GRID_A[None] / factor[:, None] - START_A) / STEP_A
    inside = (position >= 0) & (position <= N_PIXELS - 1)
    left = np.clip(position.astype(np.int64), 0, N_PIXELS - 2)
    part = np.clip(position - left, 0, 1).astype(np.float32)
    row = np.arange(len(z))[:, None]
    weight = np.where(inside, np.minimum(ivar[row, left], ivar[row, left + 1]), 0)
    return flux[row, left] * (1 - part) + flux[row, left + 1] * part, weight.astype(np.float32)


def _smooth(flux: Floats, ivar: Floats, sigma_pixels: Floats) -> Floats:
    """Smooth over good pixels alone."""
    good = (ivar > 0).astype(np.float32)
    return smooth_rows(flux * good, sigma_pixels) / np.maximum(smooth_rows(good, sigma_pixels), 0.05)


def _degrade(flux: Floats, ivar: Floats, min_snr: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Add noise so that the signal-to-noise ratio becomes log-uniform between `min_snr` and its own."""
    good = ivar > 0
    count = np.maximum(good.sum(1), 1)
    level = (np.abs(flux) * good).sum(1) / count
    own = np.maximum((np.abs(flux) * np.sqrt(ivar)).sum(1) / count, 1e-3)
    snr = np.exp(np.log(min_snr) + rng.random(len(flux)) * np.maximum(np.log(own / min_snr), 0))
    wanted = level / snr
    added = np.sqrt(np.maximum(wanted**2 - (level / own) ** 2, 0)).astype(np.float32)
    smooth, lumpy = noise_shape(len(flux), GRID_A, rng)
    sigma = lumpy * added[:, None]
    noise = sigma * rng.standard_normal(flux.shape, dtype=np.float32)
    told = 1 / np.maximum(np.where(good, 1 / np.where(good, ivar, 1), 0) + (smooth * added[:, None]) ** 2, 1e-30)
    return flux + noise, np.where(good, told, 0).astype(np.float32)
