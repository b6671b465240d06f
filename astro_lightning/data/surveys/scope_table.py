"""The training table of the ZTF Source Classification Project: one row per light curve, features and float labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, parquet_file

DMDT = 26 * 26
BYTES_PER_ROW = 8_000
# A column without one value has no type.
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)


class ScopeTable(Survey[Path]):
    """Every column of numbers as it is, `dmdt` as 676 values, the light curve's source as the group.

    A row's id is `_id`, or `id`, or its number among those of all files; sources are named by `obj_id`.
    """

    layout = "*.parquet with obj_id, features (median, f1_power_ELS_ECE_EAOV, ...), dmdt and a column per label"
    default_classes: ClassVar[dict[str, str | None]] = {}

    def find(self, path: Path) -> list[Path]:
        """The file itself, or the folder's Parquet files that hold images."""
        return [path] if path.is_file() else [f for f in visible(path, "*.parquet") if "dmdt" in column_names(f)]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records of one file."""
        for part in parquet_file(source).iter_batches(max(1, int(self.memory_gib * 2**30 / BYTES_PER_ROW))):
            yield self._records(pa.Table.from_batches([part]), source)

    def _records(self, table: pa.Table, file: Path) -> pa.Table:
        metadata = Metadata(table, file)
        own = {"_id", "id"} & set(table.column_names)
        columns = {"id": metadata.ids("_id", "id") if own else self.numbered(table.num_rows, file)}
        if "obj_id" in table.column_names:
            columns["group"] = metadata.ids("obj_id")
        if "dmdt" in table.column_names:
            columns["dmdt"] = _images(table["dmdt"].combine_chunks(), file)
        for name in table.column_names:
            kind = table.schema.field(name).type
            if name not in ("_id", "id", "obj_id", "dmdt") and any(is_kind(kind) for is_kind in NUMBERS):
                columns[name] = pa.array(metadata.numbers(name))
        return pa.table(columns)


def _images(column: pa.Array, file: Path) -> pa.FixedSizeListArray:
    """Images of 26 x 26, stored flat or as a list of rows."""
    values = column
    while pa.types.is_nested(values.type):
        values = values.flatten()
    if len(values) != DMDT * len(column):
        raise BadInput(f"{file}: dmdt holds {len(values)} values in {len(column)} rows: give {DMDT} in each row")
    return pa.FixedSizeListArray.from_arrays(values.cast(pa.float32()), DMDT)
