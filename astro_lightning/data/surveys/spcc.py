"""SPCC, the Supernova Photometric Classification Challenge (Kessler et al. 2010, arXiv:1001.5210, arXiv:1008.1024)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from astro_lightning.data.light_curves import to_objects
from astro_lightning.data.long_tables import LongTableSurvey
from astro_lightning.data.metadata import Metadata


class Spcc(LongTableSurvey):
    """`lightcurves.parquet` and `metadata.parquet` of the DES simulation: griz, FLUXCAL (zero-point 27.5).

    `spec_subset` marks the bright, biased objects that the challenge gave spectra of (`sntype` is not -9); false where
    the file does not tell. Nothing that the simulation knows (`sim_*`) and no final redshift (`z_final`, which is
    spectroscopic for those objects) is kept; `specz` is their measured redshift, and no input.
    """

    layout = "*lightcurves.parquet, each with its *metadata.parquet"
    bands = "des"
    default_classes: ClassVar[Mapping[str, str | None]] = {"Ia": "Ia", "II*": "II", "Ib*": "Ibc", "Ic*": "Ibc"}

    def objects(self, metadata: pa.Table, file: Path) -> pa.Table:
        """Labels, redshifts, extinction and the spectroscopic subset."""
        table = Metadata(metadata, file)
        specz, sntype = table.numbers("z_spec"), table.numbers("sntype")
        return to_objects(
            table.ids("object_id"),
            {
                "label": self.class_names(table.labels("sim_type"), str(file)),
                "photoz": table.inputs("host_photoz"),
                "photoz_err": table.numbers("host_photoz_err"),
                "mwebv": table.inputs("mwebv"),
                "specz": np.where(specz == -9, np.nan, specz),
                "spec_subset": ~np.isnan(sntype) & (sntype != -9),
            },
        )
