"""What the sky, the dust and the detector make of a source's light."""

import numpy as np

from astro_lightning.tasks.plasticc.extinction import LSST

from .scene import Floats, Ints

ZERO_POINT = 27.5
DETECTION_SNR = 5.0
EXTINCTION = np.array(LSST)
# Electrons per unit of flux (zero point 27.5) in a 30 s visit; a deep drilling night stacks about ten visits.
ELECTRONS = 30 * 10 ** (0.4 * (np.array([27.03, 28.38, 28.16, 27.85, 27.46, 26.68]) - ZERO_POINT))
DEEP_VISITS = 10


def observe(
    rng: np.random.Generator, flux: Floats, reference: Floats, sky_sigma: Floats, band: Ints, deep: Ints
) -> tuple[Floats, Floats]:
    """Noisy difference flux and its standard error.

    Args:
        rng: random generator.
        flux: `(n_epochs,)` light of the source on arrival, zero point 27.5.
        reference: `(n_epochs,)` its light in the template that is subtracted.
        sky_sigma: `(n_epochs,)` noise without the source.
        band: `(n_epochs,)` 0..5 = ugrizy.
        deep: `(n_epochs,)` 1 = deep drilling.
    """
    electrons = ELECTRONS[band] * np.where(deep == 1, DEEP_VISITS, 1)
    sigma = np.sqrt(sky_sigma**2 + flux / electrons)
    seen = flux - reference + sigma * rng.standard_normal(len(flux))
    # The precision that is kept, so that what counts as detected here still does in the records.
    return seen.astype(np.float32), sigma.astype(np.float32)
