"""Catalina southern periodic variables (Drake et al. 2017, MNRAS 469, 3688) and other lists of magnitudes."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astro_lightning.data.curve_rows import BANDS, ENDINGS, curves_of_rows, missing_columns
from astro_lightning.data.curve_table import curve_table
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import warn_of_float32
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.ragged import Ragged
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, parquet_file

# Accepted names of the list columns, with the integer scale that their suffix declares.
LISTS: dict[str, dict[str, float]] = {
    "mjd": {"mjd_1e6": 1e6, "mjd": 1.0, "hmjd": 1.0},
    "mag": {"mag_1e4": 1e4, "mag": 1.0},
    "mag_err": {"magerr_1e4": 1e4, "magerr": 1.0, "mag_err": 1.0},
}
IDS = ("id", "_id", "oid", "objectid", "object_id", "objid", "ID", "obj_id")
# Names of the star that several curves belong to; `obj_id` names one where it is not the curve's own id.
SOURCES = ("source", "obj_id")
# Of ZTF's data releases: an observation with any of them set is not used.
FLAGS = "catflags"
# Bytes that an observation takes while it is read, sorted and handed on.
BYTES_PER_OBSERVATION = 400
# At least; of Parquet files with longer curves fewer objects are read at once.
OBSERVATIONS_PER_OBJECT = 400


class Catalina(Survey[Path]):
    """Light curves in one band: a Parquet row per object with lists of times, magnitudes and errors, or a CSV row per observation.

    `type_name`, `period` (days) and the curve's `source` (else `obj_id`) are read where the file has them. Records hold `mjd`
    (float64), `mag` and `mag_err` (float32), sorted by time; observations that are not finite, have no positive error or are
    flagged (`catflags` of ZTF's data releases) are left out, objects never.
    """

    layout = (
        "*.parquet with lists mjd_1e6, mag_1e4, magerr_1e4 (or mjd, mag, magerr in days and magnitudes), "
        "or *.csv with a row per observation: id, mjd or hjd, mag, magerr"
    )
    default_classes: ClassVar[dict[str, str | None]] = {}

    def find(self, path: Path) -> list[Path]:
        """The file itself, or the folder's Parquet and CSV files that hold such columns."""
        if path.is_file():
            return [path]
        lists = [file for file in visible(path, "*.parquet") if not _missing(column_names(file))]
        rows = [file for ending in ENDINGS for file in visible(path, f"*{ending}")]
        return lists + [file for file in rows if not missing_columns(column_names(file), IDS)]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records of one file."""
        first = 0
        for table in self._tables(source):
            yield self._records(table, source, first)
            first += table.num_rows

    def _tables(self, source: Path) -> Iterator[pa.Table]:
        most = self.memory_gib * 2**30 / BYTES_PER_OBSERVATION
        rows = max(1, int(most / OBSERVATIONS_PER_OBJECT))
        if source.name.endswith(ENDINGS):
            table = curves_of_rows(source, IDS, (*SOURCES, "type_name", "period"), FLAGS)
            yield from (table.slice(first, rows) for first in range(0, table.num_rows, rows))
            return
        with parquet_file(source) as file:
            names = file.schema_arrow.names
            if missing := _missing(names):
                raise BadInput(f"{source}: missing column {', '.join(missing)}; found {', '.join(names)}")
            for name in (name for name in BANDS if name in names):
                if pa.types.is_nested(file.schema_arrow.field(name).type):
                    raise BadInput(
                        f"{source}: {name} is a list: a curve has one band, give each band of an object a row of its own"
                    )
            time = next(name for name in LISTS["mjd"] if name in names)
            kind = file.schema_arrow.field(time).type
            warn_of_float32(getattr(kind, "value_type", kind), str(source))
            for batch in file.iter_batches(max(1, min(rows, int(most / _longest(file.metadata, time))))):
                yield pa.Table.from_batches([batch])

    def _records(self, table: pa.Table, file: Path, first_row: int) -> pa.Table:
        lists = {}
        for name, accepted in LISTS.items():
            found = next(column for column in accepted if column in table.column_names)
            if table[found].null_count:
                raise BadInput(f"{file}, rows from {first_row}: {found} is null for an object: give an empty list")
            lists[name] = Ragged.from_arrow(table[found]), accepted[found]
        lengths = lists["mjd"][0].lengths
        for name, (ragged, _) in lists.items():
            if (ragged.lengths != lengths).any():
                row = first_row + int(np.argmax(ragged.lengths != lengths))
                raise BadInput(f"{file}, row {row}: {name} and mjd differ in length: give one value for each time")
        value = {name: _flat(ragged) / scale for name, (ragged, scale) in lists.items()}
        usable: np.ndarray | bool = True
        if FLAGS in table.column_names:
            flags = Ragged.from_arrow(table[FLAGS])
            if (flags.lengths != lengths).any():
                row = first_row + int(np.argmax(flags.lengths != lengths))
                raise BadInput(f"{file}, row {row}: {FLAGS} and mjd differ in length: give one value for each time")
            usable = _flat(flags) == 0
        metadata = Metadata(table, file)
        own = next((name for name in IDS if name in table.column_names), None)
        columns = {"id": self.numbered(len(lengths), file) if own is None else metadata.ids(own)}
        source = next((name for name in SOURCES if name in table.column_names and name != own), None)
        if source is not None:
            # A curve whose star is not named is of a star of its own.
            whole = pa.types.is_integer(table[source].type)
            columns["group"] = table[source].cast(pa.int64()) if whole else metadata.labels(source)
        if "type_name" in table.column_names:
            columns["label"] = self.class_names(metadata.labels("type_name"), str(file))
        if "period" in table.column_names:
            columns["period"] = pa.array(metadata.numbers("period"))
        return curve_table(value, lengths, columns, str(file), usable)


def _longest(metadata: pq.FileMetaData, name: str) -> float:
    """Mean length of a column's lists in the row group where it is largest, as the file itself says; 1 at least."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    of_name = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path.split(".")[0] == name]
    return max([1.0, *(group.column(of_name[0]).num_values / max(group.num_rows, 1) for group in groups)])


def _missing(found: list[str]) -> list[str]:
    return [" or ".join(accepted) for accepted in LISTS.values() if not set(accepted) & set(found)]


def _flat(ragged: Ragged) -> np.ndarray:
    return ragged.values[ragged.offsets[0] : ragged.offsets[-1]].astype(np.float64)
