"""Features of DES difference-image candidates, the training table of autoScan (Goldstein et al. 2015, arXiv:1504.02936)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.binary_labels import binary_labels
from astro_lightning.data.light_curves import identifiers
from astro_lightning.data.survey import Survey
from astro_lightning.data.surveys.parquet_files import parquet_files
from astro_lightning.data.tables import parquet_file

FEATURES = tuple(f"f{i:02d}" for i in range(38))


class DesAutoscan(Survey[Path]):
    """Reader of the table with `ID`, `f00`...`f37` and, where labelled, `label_artifact` (1 = bogus).

    Records have `features`, a fixed list of 38 floats, NaN where missing. The identifier is never a feature: it alone tells
    real from bogus with an AUC of 0.68.
    """

    layout = "a Parquet table with ID and f00...f37 (des_autoscan_features.parquet)"

    def find(self, path: Path) -> list[Path]:
        """Parquet files that have all features."""
        return parquet_files(path, [(name,) for name in ("ID", *FEATURES)])

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records in the table's order."""
        rows = max(1, int(self.memory_gib * 2**30 / (len(FEATURES) * 16)))
        for batch in parquet_file(source).iter_batches(batch_size=min(rows, 1_000_000)):
            values = np.stack(
                [batch[name].cast(pa.float32()).to_numpy(zero_copy_only=False) for name in FEATURES], axis=1
            )
            label = pa.nulls(batch.num_rows, pa.string())
            if "label_artifact" in batch.schema.names:
                label = binary_labels(batch["label_artifact"], "bogus", "real", f"{source.name}: label_artifact")
            yield pa.table(
                {
                    "id": identifiers(pa.chunked_array([batch["ID"]]), str(source)),
                    "label": label,
                    "features": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(FEATURES)),
                }
            )
