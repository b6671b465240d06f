"""Galaxies of the synthetic twin: sums of stars, reddened gas emission, redshift."""

import numpy as np

from astro_lightning.tasks.spectra import lines
from astro_lightning.tasks.spectra.library import LOG_PIXELS, Floats, Library, gaussian_lines, redshifted
from astro_lightning.tasks.spectra.stars import LIGHT_KM_S

# Half the widest narrow line (about 12 A sigma) reaches 40 pixels of 2 A.
LINE_HALF_WIDTH = 30


def stellar_populations(n: int, library: Library, young: Floats, rng: np.random.Generator) -> Floats:
    """Rest-frame sums of old, intermediate and young stars: young light fractions (n,) -> (n, 10600)."""
    old = 1 - young
    ranges = [(4000, 4900), (4700, 6200), (6200, 9800), (11000, 38000)]
    split = rng.uniform(0.3, 0.8, n).astype(np.float32)
    weights = [old * split, old * (1 - split), young * split, young * (1 - split)]
    flux = np.zeros((n, LOG_PIXELS), np.float32)
    observed = (rng.random(n) < 0.6) & bool(len(library.rows("template")))
    for (low, high), weight in zip(ranges, weights, strict=True):
        temperature = np.exp(rng.uniform(np.log(low), np.log(high), n)).astype(np.float32)
        row = library.nearest("main", temperature, rng)
        if observed.any():
            row = np.where(observed, library.nearest("template", temperature, rng), row)
        flux += weight[:, None] * library.flux[row]
    return flux


def emission_lines(n: int, activity: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Rest equivalent widths (A) of each group of nebular lines: activity in [0, 1] (n,) -> group -> (n,)."""

    def scatter(dex: float) -> Floats:
        return (10 ** rng.normal(0, dex, n)).astype(np.float32)

    halpha = 3 * 60**activity * scatter(0.3) * (activity > 0.05)
    metal = rng.uniform(0, 1, n).astype(np.float32)  # 0 metal-poor, 1 metal-rich: sets the line ratios
    return {
        "balmer": halpha,
        "oii": halpha * 0.55 * 10 ** rng.normal(0, 0.25, n),
        "oiii": halpha * 10 ** (0.4 - 1.3 * metal) * scatter(0.2),
        "nii": halpha * (0.04 + 0.4 * metal) * scatter(0.1),
        "sii": halpha * 0.16 * scatter(0.1),
        "neiii": halpha * 0.05 * (1 - metal) * scatter(0.1),
        "hei": halpha * 0.03 * scatter(0.1),
        "oi": halpha * 0.03 * scatter(0.2),
        "ariii": halpha * 0.02 * scatter(0.1),
        "oiii_auroral": halpha * 0.03 * (metal < 0.25),
        "siii": halpha * 0.15 * scatter(0.1),
    }


def add_nebular(
    flux: Floats, widths_a: dict[str, Floats], z: Floats, sigma_km_s: Floats, wavelength_a: Floats, resolution: Floats
) -> None:
    """Add narrow lines of given rest equivalent widths to (n, L) spectra in place."""
    step = float(wavelength_a[1] - wavelength_a[0])
    total = np.sqrt((sigma_km_s / LIGHT_KM_S) ** 2 + (1 / (2.355 * resolution)) ** 2)
    continuum = np.cumsum(np.pad(flux, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    row = np.arange(len(flux))
    for group, table in lines.NEBULAR.items():
        for rest, part in table:
            centre = (rest * (1 + z)).astype(np.float32)
            pixel = np.rint((centre - wavelength_a[0]) / step).astype(np.int64)
            left = np.clip(pixel - 25, 0, flux.shape[1] - 51)
            level = np.abs((continuum[row, left + 51] - continuum[row, left]) / 51).astype(np.float32)
            area = (widths_a[group] * part * (1 + z) * level).astype(np.float32)
            gaussian_lines(wavelength_a, centre, (centre * total).astype(np.float32), area, flux, LINE_HALF_WIDTH)


def draw_galaxies(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noiseless galaxies: flux (n, L) per Angstrom and redshift (n,)."""
    z = np.empty(0, np.float32)
    while len(z) < n:
        draw = rng.gamma(1.6, 0.25, 2 * n).astype(np.float32)
        z = np.concatenate([z, draw[(draw > 0.002) & (draw < 1.3)]])[:n]
    # Very near galaxies are rare in any distribution of redshifts and the easiest to take for stars.
    near = rng.random(n) < 0.12
    z[near] = rng.uniform(0.0007, 0.03, near.sum())
    passive = rng.random(n) < 0.3
    activity = np.where(passive, rng.uniform(0, 0.25, n), rng.uniform(0.1, 1.35, n)).astype(np.float32)
    young = np.clip(np.where(passive, rng.beta(1, 12, n), 0.1 + 0.75 * activity * rng.uniform(0.5, 1.3, n)), 0, 0.97)
    rest = stellar_populations(n, library, young.astype(np.float32), rng)
    templates = library.rows("galaxy")
    if len(templates):
        real = np.flatnonzero(rng.random(n) < 0.15)
        rest[real] = library.flux[rng.choice(templates, len(real))]
    flux = redshifted(rest, np.arange(n), z, wavelength_a)
    resolution = np.exp(rng.uniform(np.log(500), np.log(2200), n)).astype(np.float32)
    sigma = rng.uniform(50, 250, n).astype(np.float32)
    add_nebular(flux, emission_lines(n, activity, rng), z, sigma, wavelength_a, resolution)
    return flux, z
