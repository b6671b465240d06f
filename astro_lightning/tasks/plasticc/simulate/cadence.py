"""When and in which band the survey looks: wide-fast-deep and deep drilling visits over three years.

The counts, seasons and depths follow the published description of PLAsTiCC (arXiv:1810.00001, arXiv:1903.11756).
"""

from dataclasses import dataclass

import numpy as np

from .scene import Floats, Ints

FIRST_MJD = 59580.0
YEAR_DAY = 365.25
SURVEY_DAY = 3 * YEAR_DAY
MONTH_DAY = 29.53

# Visits by band in wide-fast-deep, and how much each band prefers moonless nights.
BAND_SHARE = np.array([12.6, 10.9, 21.9, 20.7, 29.3, 32.6])
BAND_DARKNESS = np.array([1.2, 0.8, 0.3, 0.1, -0.4, -0.6])
# Order of the bands in a deep drilling sequence (u has nights of its own) and the time from one to the next.
DEEP_SEQUENCE = np.array([2, 1, 3, 4, 5])
DEEP_STEP_DAY = 0.0085
# 5-sigma limiting magnitudes of one epoch (deep drilling: of the night's stack), before the dust is corrected for.
WIDE_DEPTH = np.array([23.54, 25.0, 24.53, 23.95, 23.06, 22.21])
DEEP_DEPTH = np.array([24.98, 25.60, 25.60, 25.15, 24.80, 23.85])


@dataclass(frozen=True)
class Cadence:
    """Epochs of many objects, laid end to end and sorted by time within each.

    Attributes:
        offsets: `(n_objects + 1,)` first epoch of each object.
        mjd: `(n_epochs,)` days.
        band: `(n_epochs,)` 0..5 = ugrizy.
        sky_sigma: `(n_epochs,)` noise without the source, flux units of zero point 27.5.
    """

    offsets: Ints
    mjd: Floats
    band: Ints
    sky_sigma: Floats


def draw_cadence(rng: np.random.Generator, deep: Ints) -> Cadence:
    """Draw the visits of each object, whatever the object may be.

    Args:
        rng: random generator.
        deep: `(n_objects,)` 1 = in a deep drilling field, 0 = wide-fast-deep.
    """
    wide_row, wide_night, wide_band = _wide(rng, np.flatnonzero(deep == 0))
    deep_row, deep_night, deep_band = _deep(rng, np.flatnonzero(deep == 1))
    row = np.concatenate([wide_row, deep_row])
    since_start = np.concatenate([wide_night, deep_night])
    band = np.concatenate([wide_band, deep_band])

    order = np.argsort(row * 2 * SURVEY_DAY + since_start, kind="stable")
    row, since_start, band = row[order], since_start[order], band[order]
    depth = np.where(deep[row] == 1, DEEP_DEPTH[band], WIDE_DEPTH[band])
    # Clouds, seeing and moonlight: a core and a long tail towards bad nights.
    conditions = rng.normal(0.0, 0.22, len(row)) + 0.3 * (rng.exponential(1.0, len(row)) - 1.1)
    sky_sigma = 10 ** (-0.4 * (depth - 27.5)) / 5 * np.exp(conditions)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(deep)))])
    return Cadence(offsets, FIRST_MJD + since_start, band, sky_sigma)


def _darkness(night: Floats) -> Floats:
    return np.cos(2 * np.pi * night / MONTH_DAY)


def _wide(rng: np.random.Generator, rows: Ints) -> tuple[Ints, Floats, Ints]:
    counts = np.rint(rng.triangular(96, 128, 160, len(rows))).astype(np.int64)
    middle = rng.uniform(0, YEAR_DAY, len(rows))
    length = rng.uniform(160, 225, len(rows))
    at = np.repeat(np.arange(len(rows)), counts)
    x = rng.beta(1.3, 1.3, len(at)) - 0.5
    night = np.floor(np.mod(middle[at] + YEAR_DAY * rng.integers(0, 3, len(at)) + length[at] * x, SURVEY_DAY))
    # A field culminates four minutes earlier every night.
    hour = 0.25 - 0.3 * x + rng.normal(0, 0.02, len(at))

    darkness = np.linspace(-1, 1, 21)
    weight = BAND_SHARE * np.exp(BAND_DARKNESS * darkness[:, None])
    cumulative = np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)
    moon = np.rint((_darkness(night) + 1) * 10).astype(np.int64)
    band = (rng.random(len(at))[:, None] > cumulative[moon, :5]).sum(1)
    return rows[at], night + hour, band


def _deep(rng: np.random.Generator, rows: Ints) -> tuple[Ints, Floats, Ints]:
    middle = rng.uniform(95, 265, len(rows))

    def nights(low: int, high: int) -> tuple[Ints, Floats]:
        at = np.repeat(np.arange(len(rows)), rng.integers(low, high, len(rows)))
        return at, np.floor(middle[at] + YEAR_DAY * rng.integers(0, 3, len(at)) + rng.uniform(-75, 75, len(at)))

    at, night = nights(45, 61)
    start = night + 0.15 + rng.uniform(0, 0.05, len(at))
    sequence = start[:, None] + DEEP_STEP_DAY * np.arange(len(DEEP_SEQUENCE))
    u_at, u_night = nights(35, 73)
    u_night = np.floor(MONTH_DAY * np.rint(u_night / MONTH_DAY) + rng.normal(0, 4, len(u_at)))
    return (
        np.concatenate([rows[np.repeat(at, len(DEEP_SEQUENCE))], rows[u_at]]),
        np.concatenate([sequence.ravel(), u_night + 0.2 + rng.uniform(0, 0.05, len(u_at))]),
        np.concatenate([np.tile(DEEP_SEQUENCE, len(at)), np.zeros(len(u_at), dtype=np.int64)]),
    )
