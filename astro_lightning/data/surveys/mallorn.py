"""MALLORN: LSST-like light curves made from real ZTF nuclear transients (Magill et al. 2025, arXiv:2512.04946)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.light_curves import to_objects
from astro_lightning.data.long_tables import LongTableSurvey
from astro_lightning.data.metadata import Metadata

# Largest step in log redshift between siblings, and the redshift below which photometric ones are noise.
SIBLING_STEP = 0.2
MIN_REDSHIFT = 0.01


class Mallorn(LongTableSurvey):
    """Simulated LSST light curves of real transients.

    Read are `*lightcurves.parquet` with the `*log.parquet` beside it, whatever stands before (train_, test_).

    Fluxes come in microjansky and leave on the scale of all records, zero-point 27.5. `photoz` is the file's Z: a
    photometric redshift with `photoz_err` where the file gives Z_err, a spectroscopic one without error for the
    labelled objects (then `specz` holds it too). A network that is given both learns which of them has labels: hide
    `photoz_err`.
    """

    layout = "*lightcurves.parquet, each with its *log.parquet"
    bands = "lsst"
    zero_point = 23.9
    metadata_word = "log"
    default_classes: ClassVar[Mapping[str, str | None]] = {
        "TDE": "TDE",
        "AGN": "AGN",
        "SN Ia*": "Ia",
        "SN*": "CC",
        "SLSN*": "CC",
    }

    def objects(self, metadata: pa.Table, file: Path) -> pa.Table:
        """Labels, redshifts and extinction."""
        table = Metadata(metadata, file)
        redshift, error = table.inputs("Z"), table.numbers("Z_err")
        ids, kind = table.ids("oid"), table.labels("SpecType")
        return to_objects(
            ids,
            {
                "label": self.class_names(kind, str(file)),
                "group": _families(ids.to_numpy(), table.labels("split"), kind, redshift),
                "photoz": redshift,
                "photoz_err": error,
                "mwebv": table.inputs("EBV"),
                "specz": np.where(np.isnan(error), redshift, np.nan),
            },
        )


def _families(ids: np.ndarray, split: pa.ChunkedArray, kind: pa.ChunkedArray, redshift: np.ndarray) -> np.ndarray:
    """The smallest id among the possible siblings of each object, shape (n_objects,).

    The release moved each real transient to a few redshifts and does not say which objects came of one. This rule is
    inferred, not given: labelled pairs of one type less than 0.15 apart in log redshift share a `split` of the release
    more often than distant pairs do (TDE 17% against 5%), beyond 0.2 they hardly do, and pairs from two splits show no
    excess of close ones. So objects of one split and type form chains without a step over 0.2. A chain joins several
    families where redshifts are dense; siblings that stand in two splits, if there are any, are parted.
    """
    if split.null_count:
        return ids
    codes = [pc.dictionary_encode(pc.fill_null(c, "")).combine_chunks().indices.to_numpy() for c in (split, kind)]
    log_redshift = np.log(np.maximum(redshift, MIN_REDSHIFT))
    order = np.lexsort((log_redshift, *codes))
    new = np.ones(len(ids), dtype=bool)
    new[1:] = np.diff(log_redshift[order]) > SIBLING_STEP
    for code in codes:
        new[1:] |= np.diff(code[order]) != 0
    starts = np.flatnonzero(new)
    groups = np.empty_like(ids)
    groups[order] = np.repeat(np.minimum.reduceat(ids[order], starts), np.diff(starts, append=len(ids)))
    return groups
