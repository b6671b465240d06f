"""PLAsTiCC, the Photometric LSST Astronomical Time-Series Classification Challenge (arXiv:1810.00001)."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from astro_lightning.data.light_curves import to_objects
from astro_lightning.data.long_tables import LongTableSurvey
from astro_lightning.data.metadata import Metadata


class Plasticc(LongTableSurvey):
    """Light curves of the challenge (`training_set.csv`, `test_set_batch*.csv`) and of its unblinded release.

    `label` is the class number as text (`true_target`, which tells the classes of the challenge's 99 apart, else
    `target`). `galactic` is 1 where the host's photo-z is 0, as the challenge marks objects of our Galaxy. `training` is
    false for the objects of a test file, the labelled ones of the unblinded release among them. Host `specz` is kept but
    is no input. Fluxes have zero-point 27.5 and are, as their errors, corrected for the extinction of `mwebv`. Parquet
    files with the same columns are read too, under the names `*lightcurves.parquet` and `*metadata.parquet`.
    """

    layout = (
        "training_set.csv, test_set_batch*.csv, plasticc_train_lightcurves.csv, plasticc_test_lightcurves_*.csv or "
        "*lightcurves.parquet (.csv, .csv.gz or .parquet), each with its *metadata file"
    )
    bands = "lsst"
    photometry_stem: ClassVar[str] = r"training_set|test_set(_batch\d+)?|.*lightcurves(_\d+)?"

    def objects(self, metadata: pa.Table, file: Path) -> pa.Table:
        """Labels, redshifts, extinction and field type."""
        table = Metadata(metadata, file)
        photoz = table.inputs("hostgal_photoz")
        return to_objects(
            table.ids("object_id"),
            {
                "label": self.class_names(table.labels("true_target", "target"), str(file)),
                "photoz": photoz,
                "photoz_err": table.numbers("hostgal_photoz_err"),
                "mwebv": table.inputs("mwebv"),
                "ddf": table.numbers("ddf", "ddf_bool"),
                "specz": table.numbers("hostgal_specz"),
                "training": np.full(len(photoz), not file.name.startswith(("test", "plasticc_test"))),
                "dereddened": np.ones(len(photoz), bool),
                "galactic": np.where(np.isnan(photoz), np.nan, photoz == 0).astype(np.float32),
            },
        )
