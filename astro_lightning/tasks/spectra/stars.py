"""Stars of the synthetic twin: Planck curves with the lines and bands of their temperature."""

import numpy as np
from scipy.special import expit

from astro_lightning.tasks.spectra import lines
from astro_lightning.tasks.spectra.library import WAVELENGTH_A, Floats, Library, redshifted, unit_at_5100

HC_OVER_K_A = 1.4387769e8  # Angstrom K
LIGHT_KM_S = 299792.458


def planck(wavelength_a: Floats, temperature: Floats) -> Floats:
    """Planck curve per Angstrom, arbitrary scale: (L,), (R,) -> (R, L)."""
    x = HC_OVER_K_A / (wavelength_a[None] * temperature[:, None])
    return ((wavelength_a[None] / 5100) ** -5 / np.expm1(np.minimum(x, 80))).astype(np.float32)


def _absorb(flux: Floats, centre_a: float, width_a: Floats, depth: Floats) -> None:
    """Multiply rows in place by one absorption line with Lorentz-like wings: widths and depths (R,)."""
    window = np.abs(WAVELENGTH_A - centre_a) < 8 * width_a.max()
    x = (WAVELENGTH_A[window][None] - centre_a) / width_a[:, None]
    flux[:, window] *= 1 - depth[:, None] / (1 + x**2) ** 1.5


def _band(flux: Floats, head_a: float, length_a: float, depth: Floats) -> None:
    """Multiply rows in place by a molecular band with a sharp blue head that recovers over ``length_a`` to the red."""
    x = (WAVELENGTH_A - head_a) / length_a
    shape = np.where(x > 0, np.exp(-np.maximum(x, 0)), np.exp(-((x * length_a / 8) ** 2)))
    flux *= 1 - depth[:, None] * shape[None]


def _bump(temperature: Floats, peak_k: float, width_dex: float) -> Floats:
    return np.exp(-0.5 * (np.log10(temperature / peak_k) / width_dex) ** 2).astype(np.float32)


def _main_sequence(temperature: Floats, rng: np.random.Generator) -> Floats:
    """Normal stars: (R,) K -> (R, 10600)."""
    n = len(temperature)
    flux = planck(WAVELENGTH_A, temperature)
    metallicity = np.exp(rng.normal(-0.1, 0.35, n)).astype(np.float32)
    cool = expit((5600 - temperature) / 450)  # 1 for K and M, 0 for A
    warm = expit((7200 - temperature) / 500)
    blanketing = metallicity * (0.25 * warm + 0.75 * cool)
    # Metal blanketing steepens the ultraviolet and makes the break at 4000 A; hot stars have the Balmer jump instead.
    blue = np.clip((4400 - WAVELENGTH_A) / 1500, 0, 1)
    step = expit((3990 - WAVELENGTH_A) / 25)
    flux *= np.exp(-np.outer(blanketing, 1.1 * blue + 0.35 * step)).astype(np.float32)
    balmer = _bump(temperature, 9300, 0.17)
    flux *= 1 - np.outer(0.45 * balmer, expit((3690 - WAVELENGTH_A) / 15)).astype(np.float32)
    width = (4.5 + 7 * _bump(temperature, 9000, 0.13)) * np.exp(rng.normal(0, 0.2, n)).astype(np.float32)
    for order, centre in enumerate(lines.BALMER):
        _absorb(flux, centre, width, np.clip((0.72 - 0.02 * order) * (balmer + 0.06), 0, 0.85))
    calcium = np.clip(metallicity * (0.75 * warm + 0.12), 0, 0.88)
    for centre in lines.CALCIUM_HK:
        _absorb(flux, centre, 5 + 8 * cool, calcium)
    for centre in lines.CALCIUM_TRIPLET:
        _absorb(flux, centre, np.full(n, 4.0, np.float32), np.clip(0.45 * metallicity * (warm + 0.2), 0, 0.7))
    for centre in lines.MAGNESIUM_B:
        _absorb(flux, centre, 4 + 7 * cool**2, np.clip(metallicity * (0.12 * warm + 0.38 * cool), 0, 0.7))
    for centre in lines.SODIUM_D:
        _absorb(flux, centre, 2.5 + 4 * cool**2, np.clip(metallicity * (0.08 + 0.5 * cool**2), 0, 0.75))
    _absorb(flux, lines.G_BAND, np.full(n, 12.0, np.float32), np.clip(0.33 * _bump(temperature, 5300, 0.07), 0, 0.5))
    for centre in lines.METALS:
        strength = metallicity * (0.09 * warm + 0.2 * cool) * rng.uniform(0.4, 1.4)
        _absorb(flux, centre, np.full(n, 3.5, np.float32), np.clip(strength, 0, 0.6))
    hot = np.clip((np.log10(temperature) - 4.0) / 0.35, 0, 1)
    for centre in lines.HELIUM_I:
        _absorb(flux, centre, np.full(n, 3.0, np.float32), 0.28 * hot * (temperature < 33000))
    for centre in lines.HELIUM_II:
        _absorb(flux, centre, np.full(n, 3.0, np.float32), 0.25 * (temperature > 27000))
    oxide = np.clip((4050 - temperature) / 1100, 0, 1).astype(np.float32) * np.exp(rng.normal(0, 0.2, n))
    for head in lines.TITANIUM_OXIDE:
        _band(flux, head, 110, np.clip(0.6 * oxide * rng.uniform(0.6, 1.1), 0, 0.85))
    for head in lines.CALCIUM_HYDRIDE:
        _absorb(flux, head, np.full(n, 45.0, np.float32), np.clip(0.4 * oxide, 0, 0.6))
    for centre in lines.ULTRAVIOLET_ABSORPTION:
        _absorb(flux, centre, np.full(n, 4.0, np.float32), np.clip(0.5 * warm * metallicity, 0, 0.8))
    return flux


def stellar_library() -> Library:
    """Parametric library of about 620 stars from 2,400 to 45,000 K, the same in every call."""
    rng = np.random.default_rng(0)
    temperature = np.repeat(np.geomspace(2400, 45000, 110), 4).astype(np.float32)
    main = _main_sequence(temperature, rng)
    white = np.repeat(np.geomspace(6000, 40000, 30), 3).astype(np.float32)
    dwarf = planck(WAVELENGTH_A, white)
    width = rng.uniform(14, 32, len(white)).astype(np.float32)
    pure_helium = rng.random(len(white)) < 0.15
    for order, centre in enumerate(lines.BALMER[:6]):
        _absorb(dwarf, centre, width, np.where(pure_helium, 0, 0.6 - 0.04 * order) * (white > 6500))
    for centre in lines.HELIUM_I:
        _absorb(dwarf, centre, width, np.where(pure_helium & (white > 11000), 0.35, 0))
    cool = rng.uniform(3000, 5000, 60).astype(np.float32)
    carbon = _main_sequence(cool, rng)
    for head in lines.CARBON_2:
        # The Swan bands degrade to the blue, unlike TiO.
        x = (head - WAVELENGTH_A) / 90
        shape = np.where(x > 0, np.exp(-np.maximum(x, 0)), np.exp(-((x * 90 / 8) ** 2)))
        carbon *= 1 - rng.uniform(0.2, 0.7, len(cool)).astype(np.float32)[:, None] * shape[None].astype(np.float32)
    flux = unit_at_5100(np.concatenate([main, dwarf, carbon]))
    kind = np.repeat(["main", "white_dwarf", "carbon"], [len(main), len(dwarf), len(carbon)])
    return Library(flux, np.concatenate([temperature, white, cool]), kind)


def draw_stars(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noiseless stars: flux (n, L) per Angstrom and redshift (n,)."""
    group = rng.choice(6, n, p=[0.52, 0.16, 0.14, 0.10, 0.05, 0.03])
    low = np.array([3900, 7400, 2500, 6500, 15000, 3200])[group]
    high = np.array([7400, 13000, 3900, 38000, 44000, 4900])[group]
    temperature = np.exp(rng.uniform(np.log(low), np.log(high))).astype(np.float32)
    row = library.nearest("main", temperature, rng)
    for index, kind in ((3, "white_dwarf"), (5, "carbon")):
        row[group == index] = library.nearest(kind, temperature[group == index], rng)
    if len(library.rows("template")):
        real = rng.random(n) < 0.5
        row[real] = rng.choice(library.rows("template"), real.sum())
    z = (rng.normal(0, 150, n) / LIGHT_KM_S).astype(np.float32)
    flux = redshifted(library.flux, row, z, wavelength_a)
    # A few per cent are pairs of a white dwarf and an M dwarf, which no single row describes.
    pair = np.flatnonzero((group == 3) & (rng.random(n) < 0.3))
    companion = library.nearest("main", rng.uniform(2700, 3700, len(pair)).astype(np.float32), rng)
    flux[pair] += rng.uniform(0.1, 1.0, (len(pair), 1)).astype(np.float32) * redshifted(
        library.flux, companion, z[pair], wavelength_a
    )
    emission = np.flatnonzero((rng.random(n) < 0.02) | ((group == 2) & (rng.random(n) < 0.3)))
    add_balmer_emission(flux, emission, group[emission] == 2, z, wavelength_a, rng)
    return flux, z


def add_balmer_emission(
    flux: Floats, row: np.ndarray, active: np.ndarray, z: Floats, wavelength_a: Floats, rng: np.random.Generator
) -> None:
    """Emission of cataclysmic variables (15-30 A wide) and active M dwarfs (narrow), in place at some rows."""
    sigma = np.where(active, 2.5, rng.uniform(5, 13, len(row))).astype(np.float32)
    width = np.where(active, rng.uniform(1, 8, len(row)), rng.uniform(8, 90, len(row))).astype(np.float32)
    centres = np.concatenate([lines.BALMER[:5], lines.HELIUM_I[[1, 3, 4]], lines.HELIUM_II[:1]])
    strength = np.array([1, 0.7, 0.5, 0.4, 0.3, 0.12, 0.15, 0.08, 0.1], np.float32)
    for centre, part in zip(centres, strength, strict=True):
        if not len(row):
            return
        index = int(np.clip(np.searchsorted(wavelength_a, centre), 0, len(wavelength_a) - 1))
        height = width * part * flux[row, index] / (np.sqrt(2 * np.pi) * sigma)
        x = (wavelength_a[None] - centre * (1 + z[row, None])) / sigma[:, None]
        flux[row] += height[:, None] * np.exp(-0.5 * x * x)
