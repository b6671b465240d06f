"""Which objects of a batch to flag, at a chosen share of false alarms among the flagged."""

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from astro_lightning.data.errors import BadInput


class NoRejection(UserWarning):
    """Benjamini-Hochberg flagged nothing, and whether it could have."""


def benjamini_hochberg(
    p: ArrayLike, q: float, n_calibration: int | None = None, adaptive: bool = False
) -> NDArray[np.bool_]:
    """Flags of a batch with expected false discovery rate <= q (Bates et al. 2023, Ann. Stat. 51, 149).

    The guarantee is for marginal conformal p-values of exchangeable known objects, calibrated once for the batch.

    Args:
        p: p-values of the batch, shape (objects,).
        q: false discovery rate asked for.
        n_calibration: calibration objects behind the p-values; with it, a batch in which nothing could be flagged
            gives a `NoRejection` warning that says what would be needed.
        adaptive: divide q by the share of known objects that the p-values above 1/2 show (Storey 2002), which flags more
            where many are unknown; the guarantee is then Bates et al. 2023, section 2.4.

    Raises:
        BadInput: q outside (0, 1), or p-values outside (0, 1].
    """
    v = np.asarray(p, dtype=np.float64)
    if not 0 < q < 1:
        raise BadInput(f"false discovery rate is {q}: give a number between 0 and 1")
    if v.ndim != 1 or not np.all((v > 0) & (v <= 1)):
        raise BadInput("p-values must be one per object, in (0, 1]")
    known = min(1.0, 2 * (1 + np.count_nonzero(v > 0.5)) / len(v)) if adaptive and len(v) else 1.0
    flag = false_discovery_control(v) * known <= q if len(v) else np.zeros(0, bool)
    if n_calibration is not None and len(v) and not flag.any():
        smallest = 1 / (n_calibration + 1)
        needed = len(v) * known / q  # times the smallest p-value: objects that must reach it together
        together = math.ceil(smallest * needed - 1e-9)
        if together > len(v):
            reason = f"no rejection is possible at q={q}: the smallest p-value is {smallest:.3g}"
        else:
            reason = (
                f"nothing flagged at q={q}: at least {together} of {len(v)} objects must reach "
                f"the smallest p-value {smallest:.3g}"
            )
        enough = math.ceil(needed - 1 - 1e-9)
        warnings.warn(
            f"{reason}; to flag a single object takes {enough} calibration objects", NoRejection, stacklevel=2
        )
    return flag
