import numpy as np
import torch

from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.tasks.scope.features import aperiodic
from astro_lightning.tasks.scope.timescales import BAND_EDGES_D, LAGS, timescales


def test_a_slow_wave_and_noise_differ_in_their_structure_and_in_the_band_of_their_power():
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 1500, 200))
    slow = 15 + np.sin(2 * np.pi * time / 300) + rng.normal(0, 0.05, 200)
    noise = 15 + rng.normal(0, 0.7, 200)
    both = LightCurves.from_ragged(
        np.tile(time, 2), np.concatenate([slow, noise]), np.full(400, 0.05), np.array([0, 200, 400])
    )
    found = aperiodic(both, max_per_day=5.0)
    values = timescales(found)
    square, size, bands = values.split([len(LAGS), len(LAGS), len(BAND_EDGES_D) - 1], 1)
    # A wave changes little within ten days and by twice the mean square within half a period; noise at once.
    assert (square[0, :6] < 0.1).all() and square[0, -4] > 1.4
    np.testing.assert_allclose(square[1, 6:], 1, atol=0.25)
    np.testing.assert_allclose(size[1, 6:], 1, atol=0.15)
    assert BAND_EDGES_D[int(bands[0].argmax())] == 200
    assert bands[0].max() > 0.9 > 0.3 > bands[1].max()
    # Without a pair there is no structure.
    empty = timescales(found | {"dmdt": torch.zeros(2, 676)})
    assert empty[:, : 2 * len(LAGS)].isnan().all() and empty[:, 2 * len(LAGS) :].isfinite().all()
