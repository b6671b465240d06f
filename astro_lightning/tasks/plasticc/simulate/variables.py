"""Sources that were there before: variable stars, lensed stars and active galaxies.

Every family takes a `Scene` and returns `(flux, reference)`, both `(n_epochs,)`: the source's flux at zero point 0
(galactic: as it arrives; `active_galaxy`: as seen from 10 pc) and its flux in the template that the survey subtracts.
"""

import numpy as np

from .scene import BAND_WAVELENGTH_NM, Floats, Scene, black_body, flux_of

# Share of a pulsation's g amplitude that each of ugrizy shows.
PULSATION_BY_BAND = np.array([0.92, 1.0, 0.72, 0.57, 0.52, 0.49])
BRIGHTER_PER_STEP_MAG = 0.25


def _apparent(scene: Scene, low: float, high: float) -> Floats:
    """Mean r magnitude of each star: fainter ones are more numerous, redrawn ones brighter."""
    return low + (high - low) * np.sqrt(scene.rng.random(scene.n)) - BRIGHTER_PER_STEP_MAG * scene.step


def _star(scene: Scene, r_magnitude: Floats, temperature_k: Floats) -> Floats:
    spectrum = black_body(scene.wavelength_nm, temperature_k[scene.row], 622.2)
    return flux_of(r_magnitude[scene.row]) * spectrum


def active_galaxy(scene: Scene) -> tuple[Floats, Floats]:
    """Damped random walk of the magnitude (Kelly et al. 2009), one for all bands but larger in the blue."""
    row, offsets = scene.row, scene.offsets
    tau = np.clip(scene.lognormal(200.0, 0.6), 40.0, 1500.0) * (1 + scene.z)
    # The walk between sorted epochs is x_k = a_k x_{k-1} + b_k e_k; in e^(t/tau) x_k it is a plain running sum.
    column = np.arange(len(row)) - offsets[:-1][row]
    width = int(np.diff(offsets).max())
    elapsed = (scene.mjd - scene.mjd[offsets[:-1]][row]) / tau[row]
    dense = np.zeros((scene.n, width))
    dense[row, column] = elapsed
    growth = np.exp(dense)
    before = np.concatenate([np.zeros((scene.n, 1)), growth[:, :-1]], axis=1)
    kick = np.sqrt(np.clip(growth**2 - before**2, 0, None)) * scene.rng.standard_normal(dense.shape)
    walk = (np.cumsum(kick, axis=1) / growth)[row, column]

    amplitude = np.clip(scene.lognormal(0.15, 0.4), 0.04, 0.5)[row] * (scene.wavelength_nm / 400.0) ** -0.45
    template = 0.7 * scene.rng.standard_normal(scene.n)[row]
    level = scene.normal(-20.9, 0.9) - 1.1 * np.minimum(scene.z, 2.0)
    slope = scene.normal(0.4, 0.3)[row]
    quiet = flux_of(level[row]) * (scene.wavelength_nm / 400.0) ** slope
    return quiet * flux_of(amplitude * walk), quiet * flux_of(amplitude * template)


def rr_lyrae(scene: Scene) -> tuple[Floats, Floats]:
    """Sawtooth (RRab) or nearly sinusoidal (RRc) pulsation within a day."""
    row = scene.row
    overtone = scene.rng.random(scene.n) < 0.25
    period = np.where(overtone, scene.uniform(0.22, 0.43), scene.normal(0.57, 0.07).clip(0.42, 0.85))
    amplitude = np.where(overtone, scene.uniform(0.25, 0.6), scene.uniform(0.4, 1.3))
    rise = np.where(overtone, 0.45, scene.uniform(0.12, 0.25))[row]
    phase = np.mod(scene.mjd / period[row] + scene.uniform(0, 1)[row], 1.0)
    # Half cosines on both sides of the maximum, with a faster start of the fall.
    climb = 0.5 - 0.5 * np.cos(np.pi * phase / rise)
    decline = 0.5 + 0.5 * np.cos(np.pi * ((phase - rise) / (1 - rise)).clip(0, 1) ** 0.7)
    brightening = np.where(phase < rise, climb, decline) - 0.4
    flux = _star(scene, _apparent(scene, 14.0, 19.0), scene.uniform(6200.0, 7600.0))
    swing = amplitude[row] * PULSATION_BY_BAND[scene.band]
    template = scene.uniform(-0.4, 0.6)[row]
    return flux * flux_of(-swing * brightening), flux * flux_of(-swing * template)


def mira(scene: Scene) -> tuple[Floats, Floats]:
    """Red giants that pulsate by magnitudes within a year."""
    row = scene.row
    period = scene.lognormal(290.0, 0.35)
    phase = 2 * np.pi * (scene.mjd / period[row] + scene.uniform(0, 1)[row])
    cycle = np.cos(phase + 0.35 * np.sin(phase)) * (1 + 0.12 * np.sin(0.37 * phase + scene.uniform(0, 6)[row]))
    amplitude = scene.uniform(0.9, 2.2)[row] * (BAND_WAVELENGTH_NM / 622.2)[scene.band] ** -1.3
    flux = _star(scene, _apparent(scene, 15.5, 20.5), scene.uniform(2300.0, 3000.0))
    template = 0.7 * scene.rng.standard_normal(scene.n)[row]
    return flux * flux_of(-amplitude * cycle), flux * flux_of(-amplitude * template)


def eclipsing_binary(scene: Scene) -> tuple[Floats, Floats]:
    """Two dips a period, the second shallower, and the bulge of tidally drawn stars where the period is short."""
    row = scene.row
    period = np.exp(scene.uniform(np.log(0.22), np.log(12.0)))
    first = 0.06 + 0.9 * scene.rng.beta(1.0, 2.0, scene.n)
    second = first * scene.rng.beta(2.0, 1.6, scene.n)
    width = (0.042 * period**-0.45 * np.exp(scene.normal(0.0, 0.2))).clip(0.008, 0.1)[row]
    bulge = 0.25 * first * np.exp(-period / 0.6)
    phase = np.mod(scene.mjd / period[row] + scene.uniform(0, 1)[row], 1.0)

    def dip(depth: Floats, centre: float) -> Floats:
        distance = np.abs(phase - centre)
        distance = np.minimum(distance, 1 - distance) / width
        return depth[row] * np.exp(-0.5 * distance * distance)

    # The deeper eclipse hides the hotter star: a little deeper in the blue, the other one in the red.
    tint = 0.12 * (BAND_WAVELENGTH_NM / 622.2 - 1)[scene.band]
    dimming = dip(first, 0.0) * (1 - tint) + dip(second, 0.5) * (1 + tint) + bulge[row] * np.cos(4 * np.pi * phase)
    flux = _star(scene, _apparent(scene, 15.5, 22.0), scene.uniform(3800.0, 8500.0))
    return flux * flux_of(dimming), flux * flux_of(np.zeros(len(row)))


def flare_star(scene: Scene) -> tuple[Floats, Floats]:
    """M dwarf with up to four flares: hot, sudden, gone within hours; energies follow a power law."""
    row = scene.row
    quiet = _star(scene, _apparent(scene, 18.0, 22.5), scene.uniform(2800.0, 3700.0))
    hot = black_body(scene.wavelength_nm, np.full(len(row), 9500.0), 367.0)
    level = flux_of(scene.normal(21.9, 0.9) - BRIGHTER_PER_STEP_MAG * scene.step)
    flux = quiet.copy()
    counts = np.diff(scene.offsets)
    for flare in range(4):
        active = (scene.rng.random(scene.n) < 0.5**flare) * level * scene.rng.pareto(1.3, scene.n)
        decay_day = scene.lognormal(0.045, 0.7)
        seen = scene.offsets[:-1] + (scene.rng.random(scene.n) * counts).astype(np.int64)
        begin = scene.mjd[seen] - decay_day * scene.rng.exponential(0.7, scene.n)
        age = ((scene.mjd - begin[row]) / decay_day[row]).clip(-1, 60)
        flux += (age > 0) * active[row] * hot * (0.75 * np.exp(-age) + 0.25 * np.exp(-age / 5))
    return flux, quiet


def _magnification(impact: Floats) -> Floats:
    """Paczynski (1986), above 1."""
    return (impact**2 + 2) / (impact * np.sqrt(impact**2 + 4)) - 1


def microlensing(scene: Scene) -> tuple[Floats, Floats]:
    """A star in front of another: the same rise and fall in all bands (point lens, some blended light)."""
    row = scene.row
    crossing_day = scene.lognormal(26.0, 0.7)
    closest = scene.uniform(0.005, 1.0)
    blend = scene.rng.beta(4.0, 1.2, scene.n)
    quiet = _star(scene, _apparent(scene, 18.0, 23.0), scene.uniform(3600.0, 6200.0))
    impact = np.hypot(closest[row], scene.day / crossing_day[row])
    return quiet * (1 + blend[row] * _magnification(impact)), quiet


def binary_lens(scene: Scene) -> tuple[Floats, Floats]:
    """Microlensing by two stars: two peaks, and between them the trough of a caustic crossing."""
    row = scene.row
    crossing_day = scene.lognormal(26.0, 0.6)
    separation = scene.uniform(0.5, 2.2)[row]
    quiet = _star(scene, _apparent(scene, 18.0, 23.0), scene.uniform(3600.0, 6200.0))
    x = scene.day / crossing_day[row]
    near = _magnification(np.hypot(scene.uniform(0.02, 0.3)[row], x + separation / 2))
    far = _magnification(np.hypot(scene.uniform(0.02, 0.3)[row], x - separation / 2))
    share = scene.uniform(0.35, 0.65)[row]
    inside = 1 - (2 * x / separation) ** 2
    trough = np.where(inside > 0, 1.2 / np.sqrt(inside.clip(0.01)), 0.0) * (scene.rng.random(scene.n) < 0.6)[row]
    return quiet * (1 + share * near + (1 - share) * far + trough), quiet
