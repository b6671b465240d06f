"""Spectra of no known class, for the twin: what teaches the network to say "don't know", and kinds kept to test it."""

from collections.abc import Callable

import numpy as np

from astro_lightning.tasks.spectra.galaxies import add_nebular, draw_galaxies, emission_lines
from astro_lightning.tasks.spectra.library import Floats, Library, gaussian_lines
from astro_lightning.tasks.spectra.observe import smooth_rows
from astro_lightning.tasks.spectra.quasars import draw_quasars
from astro_lightning.tasks.spectra.stars import LIGHT_KM_S, draw_stars, planck

KNOWN = (draw_stars, draw_galaxies, draw_quasars)
# Blueshifted absorption of supernovae with its emission at rest: type Ia (Ca, Si, Fe, S, O), type II (H, Ca, Fe).
SUPERNOVA_A = (
    (3945.0, 4130.0, 4450.0, 4900.0, 5100.0, 5454.0, 5640.0, 6355.0, 7774.0, 8579.0),
    (3945.0, 4102.9, 4341.7, 4862.7, 5018.0, 5169.0, 5893.0, 6564.6, 8579.0),
)


def draw_sky(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """A flat 1, which `observe` covers with noise and `empty_fibres` takes away again."""
    return np.ones((n, len(wavelength_a)), np.float32)


def draw_nebulae(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Planetary nebulae and H II regions of the Galaxy: lines at rest on next to no continuum."""
    flux = planck(wavelength_a, np.exp(rng.uniform(np.log(4000), np.log(60000), n)).astype(np.float32))
    flux = flux / np.median(flux, 1, keepdims=True)
    widths = emission_lines(n, rng.uniform(0.9, 1.2, n).astype(np.float32), rng)
    boost = np.exp(rng.uniform(np.log(3), np.log(100), n)).astype(np.float32)
    widths = {group: boost * width for group, width in widths.items()}
    widths["oiii"] = widths["oiii"] * np.exp(rng.normal(0.5, 0.5, n))
    z = (rng.normal(0, 80, n) / LIGHT_KM_S).astype(np.float32)
    resolution = np.exp(rng.uniform(np.log(500), np.log(2200), n)).astype(np.float32)
    add_nebular(flux, widths, z, np.full(n, 20, np.float32), wavelength_a, resolution)
    helium = widths["balmer"] * 0.35 * rng.beta(0.5, 1, n)
    sigma = 4687.0 / (2.355 * resolution)
    gaussian_lines(wavelength_a, (4687.0 * (1 + z)).astype(np.float32), sigma, helium.astype(np.float32), flux, 30)
    return flux


def _two(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Pairs of spectra of two different classes, each with median 1."""
    first = rng.integers(0, 3, n)
    second = (first + rng.integers(1, 3, n)) % 3
    pair = np.empty((2, n, len(wavelength_a)), np.float32)
    for side, kind in zip(pair, (first, second), strict=True):
        for index, draw in enumerate(KNOWN):
            row = np.flatnonzero(kind == index)
            if len(row):
                side[row], _ = draw(len(row), library, wavelength_a, rng)
    pair /= np.maximum(np.median(pair, 2, keepdims=True), 1e-12)
    return pair[0], pair[1]


def draw_blends(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Two objects of different classes in one fibre."""
    first, second = _two(n, library, wavelength_a, rng)
    share = rng.uniform(0.35, 0.65, (n, 1)).astype(np.float32)
    return share * first + (1 - share) * second


def draw_chimeras(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """The blue arm of one object with the red arm of another of a different class."""
    first, second = _two(n, library, wavelength_a, rng)
    join = rng.uniform(5700, 6100, (n, 1))
    near = np.abs(wavelength_a[None] - join) < 100
    level = (first * near).sum(1, keepdims=True) / np.maximum((second * near).sum(1, keepdims=True), 1e-6)
    return np.where(wavelength_a[None] < join, first, second * level.clip(0.1, 10)).astype(np.float32)


def draw_supernovae(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Type Ia and II: P Cygni profiles thousands of km/s wide, on up to as much light of the host galaxy."""
    z = rng.uniform(0.003, 0.2, n).astype(np.float32)
    flux = planck(wavelength_a, np.exp(rng.uniform(np.log(5000), np.log(14000), n)).astype(np.float32))
    flux = flux / np.median(flux, 1, keepdims=True)
    speed = rng.uniform(5000, 14000, n)
    hydrogen = rng.random(n) < 0.5
    for row, table in zip((np.flatnonzero(~hydrogen), np.flatnonzero(hydrogen)), SUPERNOVA_A, strict=True):
        for rest in table:
            velocity = (wavelength_a[None] / (rest * (1 + z[row, None])) - 1) * LIGHT_KM_S
            width = 0.35 * speed[row, None]
            depth = rng.uniform(0.05, 0.6, (len(row), 1))
            absorbed = depth * np.exp(-0.5 * ((velocity + speed[row, None]) / width) ** 2)
            emitted = 0.6 * depth * np.exp(-0.5 * (velocity / (1.3 * width)) ** 2)
            flux[row] *= (1 - absorbed + emitted).astype(np.float32)
    host, _ = draw_galaxies(n, library, wavelength_a, rng)
    return flux + rng.uniform(0, 1, (n, 1)).astype(np.float32) * host / np.median(host, 1, keepdims=True)


def draw_lamps(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Comparison lamps: dozens of narrow lines anywhere on a weak smooth continuum."""
    flux = np.full((n, len(wavelength_a)), 1.0, np.float32)
    for _ in range(40):
        centre = rng.uniform(3800, 9000, n).astype(np.float32)
        area = np.exp(rng.normal(4.5, 1.2, n)).astype(np.float32)
        gaussian_lines(wavelength_a, centre, np.full(n, 2.5, np.float32), area, flux, 12)
    return flux


def draw_reversed(n: int, library: Library, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Known spectra whose wavelengths run backwards."""
    return _two(n, library, wavelength_a, rng)[0][:, ::-1].copy()


Draw = Callable[[int, Library, Floats, np.random.Generator], Floats]
# Share of each kind among the unknown ones that teach.
LEARNT: dict[str, float] = {"sky": 0.8, "junk": 0.2}
# Never learnt: what these are rejected by is what an unforeseen kind would be.
HELD_OUT = ("nebula", "blend", "supernova", "chimera", "lamp", "reversed")
DRAW: dict[str, Draw] = {
    "sky": draw_sky,
    "junk": draw_sky,
    "nebula": draw_nebulae,
    "blend": draw_blends,
    "supernova": draw_supernovae,
    "chimera": draw_chimeras,
    "lamp": draw_lamps,
    "reversed": draw_reversed,
}
EMPTY = ("sky", "junk")


def empty_fibres(flux: Floats, ivar: Floats, junk: np.ndarray, wavelength_a: Floats, rng: np.random.Generator) -> None:
    """Turn noise around 1 into fibres without an object; junk (n,) bool adds fringes and smooth nonsense; in place."""
    n = len(flux)
    level = rng.normal(0.05, 0.25, (n, 1)).astype(np.float32)
    level[rng.random(n) < 0.1] *= 2
    drift = smooth_rows(rng.standard_normal(flux.shape, dtype=np.float32), np.full(n, 9.0, np.float32))
    sky = flux - 1 + level * (1 + 0.5 * rng.standard_normal((n, 1)) * np.linspace(-1, 1, len(wavelength_a)))
    row = np.flatnonzero(junk)
    phase = rng.uniform(0, 6.3, (len(row), 1)) + wavelength_a[None] / rng.uniform(20, 400, (len(row), 1))
    sky[row] += rng.uniform(-2, 2, (len(row), 1)) * np.sin(phase) + rng.uniform(0, 25, (len(row), 1)) * drift[row]
    flux[:] = np.where(ivar > 0, sky, 0)
