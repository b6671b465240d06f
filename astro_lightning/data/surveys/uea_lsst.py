"""PLAsTiCC as resampled for the UEA archive of multivariate time series (set LSST; Bagnall et al. 2018, arXiv:1811.00075)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import COLUMNS as NAMES
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, parquet_file

N_BANDS, N_TIMES = 6, 36
COLUMNS = [f"b{band}_t{time:02d}" for band in range(N_BANDS) for time in range(N_TIMES)]


class UeaLsst(Survey[Path]):
    """Parquet files with fluxes `b0_t00` .. `b5_t35` (band, time step) and, where labelled, `target`.

    Records hold them as `flux_grid` of length 216, band after band. There are no times, errors or redshifts. An object without
    an identifier (`id`, `object_id` or another of its usual names) has its number among those of all files.
    """

    layout = "*.parquet with the columns b0_t00 .. b5_t35"

    def find(self, path: Path) -> list[Path]:
        """Parquet files with such columns, by name."""
        files = [file for file in visible(path, "*.parquet") if file.suffix == ".parquet"]
        return [file for file in files if "b0_t00" in column_names(file)]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records in bounded numbers of rows."""
        names = column_names(source)
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise BadInput(f"{source}: missing column {missing[0]}; needed are b0_t00 .. b5_t35")
        identifiers = sorted(set(NAMES["id"]) & set(names))
        for batch in parquet_file(source).iter_batches(batch_size=max(1000, int(self.memory_gib * 2e5))):
            table = Metadata(pa.Table.from_batches([batch]), source)
            flux = np.column_stack([table.numbers(name) for name in COLUMNS]).astype(np.float32)
            yield pa.table(
                {
                    "id": table.ids(*identifiers) if identifiers else self.numbered(len(batch), source),
                    "label": self.class_names(table.labels("target"), str(source)),
                    "flux_grid": pa.FixedSizeListArray.from_arrays(pa.array(flux.ravel()), flux.shape[1]),
                }
            )
