"""Quasars of the synthetic twin: power law, broad lines, iron, host, Lyman forest, broad absorption."""

import numpy as np
from scipy.special import expit

from astro_lightning.tasks.spectra import lines
from astro_lightning.tasks.spectra.galaxies import add_nebular, emission_lines, stellar_populations
from astro_lightning.tasks.spectra.library import Floats, Library, gaussian_lines, redshifted
from astro_lightning.tasks.spectra.stars import LIGHT_KM_S

# Blends of Fe II between 2200 and 3000 A and either side of H-beta, as Gaussians: centre, sigma, weight.
IRON = np.array(
    [
        [2310, 60, 0.5],
        [2420, 50, 0.7],
        [2500, 60, 1.0],
        [2600, 40, 0.8],
        [2740, 30, 0.4],
        [2880, 50, 0.5],
        [2960, 40, 0.4],
        [4470, 30, 0.5],
        [4550, 35, 0.9],
        [4620, 30, 0.6],
        [5190, 35, 0.7],
        [5290, 45, 0.9],
        [5350, 30, 0.4],
    ],
    np.float32,
)


def _lyman_forest(flux: Floats, z: Floats, wavelength_a: Floats, rng: np.random.Generator) -> None:
    """Absorb bluewards of Lyman alpha in place, with the effective optical depth of Becker et al. (2013), in clumps.

    Between these more light passes than they observed: .74 for .67 at z = 3, .59 for .41 at z = 4.
    """
    row = np.flatnonzero(z > 2.1)
    absorber = wavelength_a[None] / 1215.67 - 1
    forest = absorber < z[row, None]
    depth = 0.0036 * (1 + absorber) ** 3.4 * rng.gamma(0.6, 1 / 0.6, (len(row), len(wavelength_a)))
    flux[row] *= np.where(forest, np.exp(-np.minimum(depth, 8)), 1).astype(np.float32)
    flux[row] *= np.where(wavelength_a[None] < 912 * (1 + z[row, None]), 0.1, 1).astype(np.float32)


def _broad_absorption(flux: Floats, z: Floats, wavelength_a: Floats, rng: np.random.Generator) -> None:
    """Troughs 2,000-18,000 km/s bluewards of high-ionisation lines (and of Mg II in a few), in place."""
    row = np.flatnonzero((rng.random(len(z)) < 0.13) & (z > 0.6))
    low = rng.uniform(500, 9000, len(row))
    high = low + rng.uniform(2000, 9000, len(row))
    depth = rng.uniform(0.3, 1.0, len(row))
    low_ionisation = rng.random(len(row)) < 0.15
    for centre, always in ((1549.1, True), (1399.8, True), (1240.1, True), (2799.1, False), (1857.0, False)):
        speed = (1 - wavelength_a[None] / (centre * (1 + z[row, None]))) * LIGHT_KM_S
        inside = expit((speed - low[:, None]) / 250) * expit((high[:, None] - speed) / 250)
        part = depth if always else depth * low_ionisation
        flux[row] *= (1 - part[:, None] * inside).astype(np.float32)


def draw_quasars(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noiseless quasars: flux (n, L) per Angstrom and redshift (n,)."""
    near = rng.random(n) < 0.45
    z = np.where(near, 0.05 + rng.gamma(2.2, 0.17, n), rng.uniform(0.3, 4.6, n)).clip(0.04, 5.5).astype(np.float32)
    slope = rng.normal(-1.5, 0.45, n).astype(np.float32)
    rest_wavelength = wavelength_a[None] / (1 + z[:, None])
    # Beyond about 5000 A the power law flattens.
    bend = np.where(rest_wavelength > 5000, (rest_wavelength / 5000) ** 0.9, 1).astype(np.float32)
    flux = (rest_wavelength / 3000) ** slope[:, None] * bend
    speed = np.exp(rng.normal(0, 0.3, n)).astype(np.float32)
    strength = np.exp(rng.normal(0, 0.35, n)).astype(np.float32)
    strength[rng.random(n) < 0.06] *= 0.15  # weak-lined
    added = np.zeros_like(flux)
    iron = np.exp(rng.normal(-0.3, 0.6, n)).astype(np.float32)
    for rest, sigma, weight in IRON:
        level = (rest / 3000) ** slope
        area = iron * weight * 0.18 * level * sigma * 2.5 * (1 + z)
        gaussian_lines(wavelength_a, rest * (1 + z), sigma * (1 + z), area.astype(np.float32), added)
    for rest, width, fwhm in lines.BROAD:
        level = (rest / 3000) ** slope * max(1.0, rest / 5000) ** 0.9
        area = width * strength * np.exp(rng.normal(0, 0.25, n)) * level * (1 + z)
        shift = 1 + rng.normal(0, 400, n) / LIGHT_KM_S
        sigma = rest * (1 + z) * fwhm * speed / (2.355 * LIGHT_KM_S)
        # A narrower core on a wider base stands in for the Lorentz-like profiles of many quasars.
        for part, scale in ((0.6, 0.65), (0.4, 1.7)):
            centre = (rest * (1 + z) * shift).astype(np.float32)
            gaussian_lines(
                wavelength_a, centre, (sigma * scale).astype(np.float32), (part * area).astype(np.float32), added
            )
    jump = rng.uniform(0, 0.35, n).astype(np.float32)[:, None]
    flux = flux * (1 + jump * np.where(rest_wavelength < 3646, (rest_wavelength / 3646) ** 3, 0)) + added
    _host(flux, z, library, wavelength_a, rng)
    _lyman_forest(flux, z, wavelength_a, rng)
    _broad_absorption(flux, z, wavelength_a, rng)
    return flux.astype(np.float32), z


def _host(flux: Floats, z: Floats, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> None:
    """Add the host galaxy's stars below z = 0.9 and the narrow lines of the active nucleus, in place."""
    row = np.flatnonzero(z < 0.9)
    if not len(row):
        return
    young = rng.beta(1.2, 4, len(row)).astype(np.float32)
    stars = redshifted(stellar_populations(len(row), library, young, rng), np.arange(len(row)), z[row], wavelength_a)
    share = (rng.beta(0.9, 1.6, len(row)) * np.clip(1.2 - z[row], 0.1, 1) * 0.85).astype(np.float32)[:, None]
    level = flux[row].mean(1, keepdims=True) / np.maximum(stars.mean(1, keepdims=True), 1e-6)
    flux[row] = (1 - share) * flux[row] + share * stars * level
    widths = emission_lines(len(row), rng.uniform(0.1, 0.6, len(row)).astype(np.float32), rng)
    widths["oiii"] = widths["oiii"] * 2 + 8 * np.exp(rng.normal(0, 0.8, len(row))).astype(np.float32)
    near = flux[row]
    resolution = np.exp(rng.uniform(np.log(500), np.log(2200), len(row))).astype(np.float32)
    sigma = rng.uniform(120, 350, len(row)).astype(np.float32)
    add_nebular(near, widths, z[row], sigma, wavelength_a, resolution)
    flux[row] = near
