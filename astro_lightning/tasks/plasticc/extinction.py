"""The Galaxy's dust."""

import numpy as np

from astro_lightning.data.bands import wavelengths_nm
from astro_lightning.tasks.plasticc.light_curves import LightCurves

# A_band / E(B-V) of ugrizy.
LSST = (4.145, 3.237, 2.273, 1.684, 1.323, 1.088)
# Beyond them WFC3 F218W and F275W, UKIRT J, H and K: effective wavelength in nm -> A / E(B-V).
BEYOND = {222.4: 7.760, 270.4: 5.487, 1248.0: 0.709, 1631.0: 0.449, 2201.0: 0.302}


def extinction_law(wavelength_nm: np.ndarray) -> np.ndarray:
    """A / E(B-V) for R_V = 3.1 (Schlafly & Finkbeiner 2011, ApJ 737, 103, table 6), interpolated in 1 / wavelength.

    LSST's own bands have the values of the table; those of DES, SDSS and Pan-STARRS differ from theirs by 2.5% at most.

    Args:
        wavelength_nm: (6,) effective wavelengths of ugrizy; NaN = the survey lacks the band, which then is LSST's.
    """
    lsst_nm = wavelengths_nm("lsst")
    known_nm, known = np.append(lsst_nm, list(BEYOND)), np.append(LSST, list(BEYOND.values()))
    redder_first = np.argsort(1 / known_nm)
    own_nm = np.where(np.isfinite(wavelength_nm), wavelength_nm, lsst_nm)
    return np.interp(1 / own_nm, 1 / known_nm[redder_first], known[redder_first])


def deredden(curves: LightCurves, mwebv: np.ndarray, law: np.ndarray) -> LightCurves:
    """Fluxes and their errors as they would be without dust.

    Args:
        curves: Of N objects, bands 0..5 = ugrizy.
        mwebv: (N,) E(B-V) in mag; NaN = not known, and nothing changes.
        law: (6,) A_band / E(B-V).
    """
    dust = 10 ** (0.4 * law[curves.band] * np.nan_to_num(mwebv)[curves.owner])
    return curves.with_columns(flux=curves.flux * dust, flux_err=curves.flux_err * dust)
