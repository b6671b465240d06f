"""Four variable stars of known period, for the tests of periods and of features."""

from itertools import pairwise

import numpy as np
import pytest

from astro_lightning.methods.periodograms.light_curves import LightCurves

PERIODS_D = (0.61, 1.37, 0.233, 12.3)
LENGTHS = (120, 75, 201, 60)


@pytest.fixture(scope="session")
def ragged():
    """Four curves of different length: times, magnitudes, errors, offsets, periods."""
    rng = np.random.default_rng(3)
    mjd, mag, err = [], [], []
    for period, points in zip(PERIODS_D, LENGTHS):
        time = np.sort(rng.uniform(0, 700, points)) + 53_000
        phase = 2 * np.pi * time / period
        error = rng.uniform(0.02, 0.08, points)
        mjd.append(time)
        mag.append(15 + 0.3 * np.cos(phase) + 0.12 * np.cos(2 * phase + 1) + rng.normal(0, error))
        err.append(error)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    return np.concatenate(mjd), np.concatenate(mag), np.concatenate(err), offsets, np.array(PERIODS_D)


@pytest.fixture(scope="session")
def curves(ragged):
    return LightCurves.from_ragged(*ragged[:4])


@pytest.fixture(scope="session")
def separate(ragged):
    """The same curves one by one: (time, mag, err)."""
    mjd, mag, err, offsets, _ = ragged
    parts = [slice(a, b) for a, b in pairwise(offsets)]
    return [(mjd[part] - mjd[part.start], mag[part], err[part]) for part in parts]
