"""Discrete tokens of flux and time: logarithmic flux bins of 10% and one-day time bins.

Token ids: 0 PAD, 1 CLS, 2 SEP, 3..399 flux (200 is zero flux, larger is brighter), 400 MASK. PAD and MASK are
distinct, so that a masked observation is never taken for padding, and neither can be predicted: the output has the
400 ids below MASK.
"""

from __future__ import annotations

import numpy as np

from astro_lightning.data.errors import BadInput

PAD, CLS, SEP = 0, 1, 2
FIRST_FLUX, LAST_FLUX = 3, 399
MASK = 400
N_OUTPUT_TOKENS = 400
N_TOKENS = 401

MJD_ORIGIN = 59575.0
N_DAYS = 1200


def flux_tokens(flux: np.ndarray) -> np.ndarray:
    """Token of each flux: zero is 200, (0, 1) is 201, (-1, 0) is 199, beyond that one token for each factor of 1.1.

    Args:
        flux: any shape, in the survey's own linear unit (PLAsTiCC: zero point 27.5).

    Returns:
        int64 of the same shape, in 3..399; both ends are clamped.

    Raises:
        BadInput: a flux is not finite.
    """
    flux = np.asarray(flux, dtype=np.float64)
    if not np.isfinite(flux).all():
        raise BadInput(f"flux: {np.count_nonzero(~np.isfinite(flux))} values are not finite; drop them when reading")
    size = np.abs(flux)
    steps = (np.log(np.maximum(size, 1.0)) / np.log(1.1)).astype(np.int64)
    bright = np.where(flux > 0, np.minimum(LAST_FLUX, 202 + steps), np.maximum(FIRST_FLUX, 198 - steps))
    return np.where(size >= 1, bright, 200 + np.sign(flux).astype(np.int64))


def day_bins(mjd: np.ndarray, mjd_origin: float | np.ndarray = MJD_ORIGIN) -> tuple[np.ndarray, int]:
    """Whole days since `mjd_origin`, in 0..1199.

    Times outside the 1,200 days go to the nearest end and are counted, so that the caller can warn: light curves of
    another survey need another origin, either one for all or one for each observation.

    Args:
        mjd: (N,) days.
        mjd_origin: days; a number or (N,).

    Returns:
        (N,) int64 bins and the number of observations that lay outside.
    """
    days = np.floor(np.asarray(mjd, dtype=np.float64) - mjd_origin).astype(np.int64)
    outside = (days < 0) | (days >= N_DAYS)
    return np.clip(days, 0, N_DAYS - 1), int(outside.sum())
