"""CSV and Parquet tables as streams of Arrow batches, read and written; whatever cannot be read is the user's bad input."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from zipfile import BadZipFile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import COLUMNS
from astro_lightning.data.whole_file import whole_file

# Bytes of CSV decoded at a time; a row of photometry is about 40 bytes.
_CSV_BLOCK = 16 << 20
_CSV_ROW = 40
_PARQUET_BUFFER = 1 << 20  # bytes of a column that are fetched at a time
# Names of columns that may hold identifiers in any survey's tables.
ID_NAMES = (*COLUMNS["id"], "_id", "obj_id", "source")
SEARCHED_ROWS = 20_000_000


def column_names(file: Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        BadInput: The file is empty, truncated or of another format.
    """
    with readable(file):
        if file.suffix == ".parquet":
            return pq.read_schema(file).names
        with csv.open_csv(file, read_options=csv.ReadOptions(block_size=1 << 16)) as reader:
            return reader.schema.names


def parquet_file(file: Path) -> pq.ParquetFile:
    """A Parquet file whose batches are read as they are asked for, whatever its row groups are.

    PyArrow's own choice is to fetch all row groups at once and to keep them until the last batch, or one that is large as a whole.
    """
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=_PARQUET_BUFFER)


def read_batches(file: Path, columns: Mapping[str, str], rows: int, text_ids: bool | None = None) -> Iterator[pa.Table]:
    """Stream a table in pieces of at most about `rows` rows.

    Args:
        file: CSV, gzipped CSV or Parquet.
        columns: Which to read, as record column (see `light_curves.COLUMNS`) -> the file's name; it fixes their CSV
            types.
        rows: Upper bound on the rows of a piece.
        text_ids: Whether identifiers of a CSV are text; None = where one begins with a zero.

    Raises:
        BadInput: The file is truncated, malformed or of another format.
    """
    names = list(columns.values())
    with readable(file):
        if file.suffix == ".parquet":
            with parquet_file(file) as parquet:
                for batch in parquet.iter_batches(min(rows, 1 << 20), columns=names):
                    yield pa.Table.from_batches([batch])
            return
        types = {columns[name]: kind for name, kind in _CSV_TYPES.items() if name in columns}
        types |= _text_ids(file, text_ids)
        convert = csv.ConvertOptions(include_columns=names, column_types=types)
        read = csv.ReadOptions(block_size=max(1 << 12, min(_CSV_BLOCK, rows * _CSV_ROW)))
        with csv.open_csv(file, read_options=read, convert_options=convert) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


def read_table(file: Path, text_ids: bool | None = None) -> pa.Table:
    """A whole table; `text_ids` as for `read_batches`.

    Raises:
        BadInput: The file is empty, truncated, malformed or of another format.
    """
    with readable(file):
        if file.suffix == ".parquet":
            return pq.read_table(file)
        # What pandas leaves empty is not known, of words as of numbers.
        convert = csv.ConvertOptions(strings_can_be_null=True, column_types=_text_ids(file, text_ids))
        return csv.read_csv(file, convert_options=convert)


def mean_of_objects(tables: Sequence[pa.Table]) -> pa.Table:
    """Predictions in one table; numbers of an `id` that several of them hold are averaged, words are the first's."""
    table = pa.concat_tables(tables, promote_options="default")
    if len(tables) == 1 or pc.count_distinct(table["id"]).as_py() == len(table):
        return table
    frame = table.to_pandas()
    numbers = {name for name in frame.columns if name.startswith("prob_") or frame[name].dtype.kind == "f"}
    kinds = {name: "mean" if name in numbers else "first" for name in frame.columns if name != "id"}
    return pa.Table.from_pandas(frame.groupby("id", sort=False).agg(kinds).reset_index(), preserve_index=False)


_CSV_TYPES = {
    "mjd": pa.float64(),
    "flux": pa.float32(),
    "flux_err": pa.float32(),
    "mag": pa.float32(),
    "mag_err": pa.float32(),
}


def padded_ids(file: Path) -> list[str]:
    """Columns of identifiers of a CSV of which one begins with a zero: as numbers they would lose it, and two might become one.

    The first SEARCHED_ROWS are looked at.
    """
    names = _id_columns(file)
    if file.suffix == ".parquet" or not names:
        return []
    convert = csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string()))
    read = csv.ReadOptions(block_size=_CSV_BLOCK)
    padded, rows = dict.fromkeys(names, False), 0
    with readable(file), csv.open_csv(file, read_options=read, convert_options=convert) as reader:
        for batch in reader:
            padded = {name: found or _padded(batch[name]) for name, found in padded.items()}
            rows += batch.num_rows
            if rows > SEARCHED_ROWS or all(padded.values()):
                break
    return [name for name, found in padded.items() if found]


def _padded(ids: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(ids, r"^0\d")).as_py())


def _id_columns(file: Path) -> list[str]:
    return [name for name in column_names(file) if name in ID_NAMES]


def _text_ids(file: Path, text_ids: bool | None) -> dict[str, pa.DataType]:
    names = padded_ids(file) if text_ids is None else _id_columns(file) if text_ids else []
    return dict.fromkeys(names, pa.string())


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Whatever a decoder says of a file that is damaged, empty or of another format becomes bad input that names it.

    Raises:
        BadInput: The file cannot be read.
    """
    try:
        yield
    except BadInput:
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, OverflowError, BadZipFile, zlib.error) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BadInput(f"{file}: cannot be read ({reason}): give a whole file of the survey's format") from error


def check_out(out: Path) -> None:
    """Whether a Parquet file can have this name.

    Raises:
        BadInput: Another ending, or there is a folder of this name.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"out={out} must end in .parquet")
    if out.is_dir():
        raise BadInput(f"out={out} is a folder: give the name of a file")


def write_parquet(tables: Iterable[pa.Table], out: Path) -> int:
    """Stream tables of one schema into a Parquet file under a temporary name, then rename it; returns the rows written."""
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    writer, n = None, 0
    try:
        with whole_file(out) as temporary:
            for table in tables:
                writer = writer or pq.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
                n += table.num_rows
            if writer is None:
                raise BadInput(f"there is no object to write to {out}: the input is empty")
            writer.close()
    finally:
        with suppress(OSError):  # a full disk: what could not be written cannot be closed either
            if writer is not None:
                writer.close()
    return n
