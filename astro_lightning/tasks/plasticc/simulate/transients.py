"""Extragalactic transients: light that appears once and fades.

Every family takes a `Scene` and returns `(flux, reference)`, both `(n_epochs,)`: the source's flux as seen from 10 pc
at zero point 0 (so that absolute magnitude M gives 10^(-0.4 M)) and the flux in the survey's template, which is 0 here.
Shapes and luminosities are those of the literature in round numbers: made to be learnt from, not to infer with.
"""

import numpy as np

from .scene import Floats, Scene, black_body, flux_of, line_blanketing


def _pulse(day: Floats, rise_day: Floats | float, fall_day: Floats | float) -> Floats:
    """Rise and exponential decline with maximum 1 at day 0 (Bazin et al. 2009); `fall_day > rise_day`."""
    ratio = fall_day / rise_day - 1
    t = day + rise_day * np.log(ratio)
    peak = ratio ** (-rise_day / fall_day) * ratio / (1 + ratio)
    return np.exp(-(t / fall_day).clip(-60, 60)) / (1 + np.exp(-(t / rise_day).clip(-600, 60))) / peak


def _gaussian(x: Floats) -> Floats:
    return np.exp(-0.5 * x * x)


def thermonuclear(
    scene: Scene,
    magnitude: float = -19.3,
    scatter: float = 0.12,
    stretch: float = 1.0,
    bump: float = 0.35,
    temperature_k: float = 11500.0,
) -> tuple[Floats, Floats]:
    """Type Ia and kin: stretch, colour, faster decline in the blue, and a second maximum in the red.

    Brightness follows stretch and colour as in Tripp (1998).
    """
    row, wavelength = scene.row, scene.wavelength_nm
    x1 = scene.normal(0.0, 1.0)
    colour = scene.normal(-0.02, 0.06) + scene.rng.exponential(0.07, scene.n)
    width = stretch * (1 + 0.1 * x1)
    peak = scene.normal(magnitude, scatter) - 0.14 * x1 + 3.1 * colour
    bump_share = bump * np.exp(scene.normal(0.0, 0.25))

    day = scene.day / width[row]
    fall = np.clip(11.0 + 0.034 * (wavelength - 350.0), 9.0, 30.0)
    main = _pulse(day, 3.6, fall) + 0.03 * np.exp(-np.clip(day, 0, None) / 60) * (day > 0)
    red = np.clip((wavelength - 580.0) / 180.0, 0, 1)
    second = bump_share[row] * red * _gaussian((day - 25 - 3 * x1[row]) / 8.5)
    spectrum = black_body(wavelength, np.full(len(row), temperature_k)) * line_blanketing(wavelength, 345.0)
    dimming = peak[row] + colour[row] * 3.0 * ((440.0 / wavelength) ** 1.3 - 1)
    return flux_of(dimming) * spectrum * (main + second), np.zeros(len(row))


def stripped(
    scene: Scene,
    magnitude: float = -17.5,
    scatter: float = 0.8,
    rise_day: float = 5.0,
    fall_day: float = 17.0,
    temperature_k: float = 7800.0,
    cool_k: float = 4800.0,
    blanket_nm: float = 380.0,
    nebula: float = 0.0,
) -> tuple[Floats, Floats]:
    """Hydrogen-poor explosions: type Ibc, and with other numbers superluminous, pair-instability and calcium-rich ones.

    `nebula` is the late strength of calcium lines near 750 nm.
    """
    row, wavelength, day = scene.row, scene.wavelength_nm, scene.day
    rise = scene.lognormal(rise_day, 0.25)[row]
    fall = np.maximum(scene.lognormal(fall_day, 0.25)[row] * (0.75 + 0.25 * wavelength / 500.0), 1.6 * rise)
    hot = scene.lognormal(temperature_k, 0.12)[row]
    temperature = cool_k + (hot - cool_k) * np.exp(-np.clip(day / (1.2 * fall) + 0.3, 0, 30))
    peak = scene.normal(magnitude, scatter)[row] + scene.reddening(0.06)
    tail = 0.06 * np.exp(-np.clip(day, 0, None) / 80.0) * (day > 0)
    lines = nebula * _gaussian((wavelength - 750.0) / 60.0) * (1 - np.exp(-np.clip(day, 0, None) / 15.0))
    spectrum = black_body(wavelength, temperature) * line_blanketing(wavelength, blanket_nm)
    light = _pulse(day, rise, fall)
    return flux_of(peak) * (spectrum * (light + tail) + lines * np.sqrt(light)), np.zeros(len(row))


def plateau(
    scene: Scene,
    magnitude: float = -16.9,
    scatter: float = 0.9,
    length_day: float = 90.0,
    hot_k: float = 15000.0,
    cool_k: float = 5400.0,
    rise_day: float = 2.2,
) -> tuple[Floats, Floats]:
    """Type II (IIP to IIL by the slope), and with other numbers intermediate-luminosity optical transients."""
    row, wavelength, day = scene.row, scene.wavelength_nm, scene.day
    age = np.clip(day, 0, None)
    end = scene.lognormal(length_day, 0.15)[row]
    slope = np.abs(scene.normal(0.0, 0.012))[row]
    drop = scene.uniform(1.2, 2.2)[row]
    cooling = scene.lognormal(14.0, 0.3)[row]
    temperature = cool_k + (hot_k - cool_k) * np.exp(-age / cooling)
    rise = 1 / (1 + np.exp(-np.clip(day / scene.lognormal(rise_day, 0.3)[row], -60, 60)))
    past = day - end
    fading = slope * age + drop / (1 + np.exp(-np.clip(past / 5.0, -60, 60))) + 0.0098 * np.clip(past, 0, None)
    peak = scene.normal(magnitude, scatter)[row] + scene.reddening(0.07)
    spectrum = black_body(wavelength, temperature, 620.0)
    spectrum *= line_blanketing(wavelength, 370.0 - 120.0 * np.exp(-age / 15.0))
    return flux_of(peak + fading) * spectrum * rise, np.zeros(len(row))


def tidal_disruption(scene: Scene) -> tuple[Floats, Floats]:
    """A star torn by a black hole: hot at all times, declining as t^(-5/3) (Rees 1988)."""
    row, day = scene.row, scene.day
    rise = scene.lognormal(14.0, 0.35)[row]
    fallback = scene.lognormal(26.0, 0.4)[row]
    temperature = scene.uniform(17000.0, 38000.0)[row]
    peak = scene.normal(-19.0, 0.9)[row] + scene.reddening(0.04)
    light = np.where(day < 0, _gaussian(day / rise), (1 + np.clip(day, 0, None) / fallback) ** (-5 / 3))
    return flux_of(peak) * black_body(scene.wavelength_nm, temperature) * light, np.zeros(len(row))


def kilonova(scene: Scene) -> tuple[Floats, Floats]:
    """Merged neutron stars: gone within days, from blue to red meanwhile (GW170817)."""
    row, day = scene.row, scene.day
    age = np.clip(day, 0.0, None)
    pace = scene.lognormal(1.0, 0.35)[row]
    hot = scene.lognormal(7500.0, 0.25)[row]
    temperature = 2400.0 + (hot - 2400.0) * np.exp(-age / (1.6 * pace))
    peak = scene.normal(-15.9, 0.7)[row]
    light = (1 - np.exp(-age / 0.25)) * np.exp(-age / (3.2 * pace)) * (day > 0)
    return flux_of(peak) * black_body(scene.wavelength_nm, temperature, 800.0) * light, np.zeros(len(row))
