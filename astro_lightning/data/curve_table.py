"""Records of light curves in magnitudes from their observations end to end: what every such survey leaves out, and its order."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from astro_lightning.data.light_curves import LARGEST_MAG, LATEST_D, LONGEST_D, near_median, offsets_of

log = logging.getLogger(__name__)


def curve_table(
    value: Mapping[str, np.ndarray],
    lengths: np.ndarray,
    columns: Mapping[str, Any],
    where: str,
    usable: np.ndarray | bool = True,
) -> pa.Table:
    """Curves as lists sorted by time; observations that cannot be used are left out with a warning, curves never.

    Args:
        value: `mjd` (days), `mag` and `mag_err` (magnitudes) of all curves end to end, each of shape (observations,).
        lengths: Observations of each curve, shape (curves,).
        columns: One value for each curve; `id` among them.
        where: Named in warnings.
        usable: (observations,) False where the survey's own flags are against it.

    Returns:
        The columns, and lists `mjd` (float64), `mag`, `mag_err` (float32).
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    good = (
        usable
        & (np.abs(value["mjd"]) < LATEST_D)
        & (np.abs(value["mag"]) < LARGEST_MAG)
        & (value["mag_err"] > 0)
        & np.isfinite(value["mag_err"])
    )
    if not good.all():
        reason = f"no finite time, magnitude below {LARGEST_MAG:g} or error > 0, or flagged"
        log.warning("%s: %d of %d observations left out: %s", where, (~good).sum(), len(good), reason)
    order = np.lexsort((value["mjd"], owner))
    order = order[good[order]]
    near = near_median(value["mjd"][order], offsets_of(owner[order], len(lengths)))
    if not near.all():
        log.warning("%s: %d observations left out, at times %g days or more from the others of their curve (first: %s)",
                    where, (~near).sum(), LONGEST_D, columns["id"][int(owner[order[~near]][0])])  # fmt: skip
    order = order[near]
    offsets = pa.array(offsets_of(owner[order], len(lengths)), pa.int64())
    dtype = {"mjd": np.float64, "mag": np.float32, "mag_err": np.float32}
    lists = {
        name: pa.LargeListArray.from_arrays(offsets, pa.array(value[name][order].astype(kind)))
        for name, kind in dtype.items()
    }
    return pa.table(dict(columns) | lists)
