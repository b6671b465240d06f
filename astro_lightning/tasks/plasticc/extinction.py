"""The Galaxy's dust."""

import numpy as np

from astro_lightning.tasks.plasticc.light_curves import LightCurves

# A_band / E(B-V) of ugrizy for R_V = 3.1 (Schlafly & Finkbeiner 2011, arXiv:1012.4804)
LSST_EXTINCTION = (4.145, 3.237, 2.273, 1.684, 1.323, 1.088)


def deredden(curves: LightCurves, mwebv: np.ndarray) -> LightCurves:
    """Fluxes and their errors as they would be without dust.

    Args:
        curves: Of N objects, bands 0..5 = ugrizy.
        mwebv: (N,) E(B-V) in mag; NaN = not known, and nothing changes.
    """
    dust = 10 ** (0.4 * np.asarray(LSST_EXTINCTION)[curves.band] * np.nan_to_num(mwebv)[curves.owner])
    return curves.with_columns(flux=curves.flux * dust, flux_err=curves.flux_err * dust)
