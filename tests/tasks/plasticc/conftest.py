from collections.abc import Callable

import numpy as np
import pytest

from astro_lightning.tasks.plasticc.light_curves import LightCurves


@pytest.fixture(scope="session")
def make_curves() -> Callable[..., LightCurves]:
    """Random light curves of given lengths over six bands and three years."""

    def make(lengths=(30, 80, 5, 140), seed=0, n_bands=6) -> LightCurves:
        rng = np.random.default_rng(seed)
        lengths = np.asarray(lengths, dtype=np.int64)
        n = int(lengths.sum())
        mjd = np.concatenate([np.sort(rng.uniform(59580, 60670, length)) for length in lengths] or [np.empty(0)])
        err = rng.lognormal(2, 0.5, n).astype(np.float32)
        flux = (rng.normal(size=n) * 60).astype(np.float32)
        return LightCurves(
            mjd=mjd,
            band=rng.integers(0, n_bands, n).astype(np.int8),
            flux=flux,
            flux_err=err,
            detected=flux > 5 * err,
            offsets=np.concatenate(([0], np.cumsum(lengths))),
        )

    return make
