"""Spectra of any published form to one Parquet or Feather file on the common grid."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.data.surveys.spectra_tables import NUMBERS, WORDS
from astro_lightning.data.whole_file import whole_file


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Attributes:
        n_spectra: Spectra written.
        skipped: Files that were not read, each with the reason.
    """

    n_spectra: int
    skipped: list[tuple[Path, str]]


def convert_spectra(source: Path, out: Path, progress: bool = True) -> Converted:
    """Convert a file or a folder of spectra; the output is there whole or not at all.

    Args:
        source: What `Spectra` reads.
        out: `*.parquet`, or `*.feather` for memory-mapped reading.
        progress: Show a bar on stderr.

    Raises:
        BadInput: Unknown ending of `out`; nothing in `source` can be read.
    """
    if out.suffix not in (".parquet", ".feather"):
        raise BadInput(f"{out}: give a name that ends in .parquet or .feather")
    # Small chunks keep the bar moving.
    survey = Spectra(memory_gib=0.05)
    sources = survey.sources(source)
    total = sum(len(found.files) for found in sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    n_spectra = 0
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"{source} -> {out.name}", total=total)
        tables = survey.read(source)
        first = next(tables)
        schema = first.schema if len(sources) == 1 else _all_facts(first.schema)
        with whole_file(out) as temporary, _writer(temporary, out.suffix, schema) as writer:
            for table in chain([first], tables):
                writer.write_table(_like(table, schema))
                n_spectra += len(table)
                bar.update(task, completed=min(n_spectra + len(survey.skipped), total))
        bar.update(task, completed=total)
    return Converted(n_spectra, survey.skipped)


def _writer(path: Path, suffix: str, schema: pa.Schema) -> pq.ParquetWriter | pa.RecordBatchFileWriter:
    if suffix == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd")
    return pa.ipc.new_file(path, schema)


def _all_facts(schema: pa.Schema) -> pa.Schema:
    """The schema and what other forms know beside it."""
    for name in ("group", "label", *WORDS):
        schema = schema if name in schema.names else schema.append(pa.field(name, pa.string()))
    for name in NUMBERS:
        schema = schema if name in schema.names else schema.append(pa.field(name, pa.float64()))
    return schema


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a schema, null where it lacks one: forms know different facts.

    Raises:
        BadInput: A column is of another kind than in the first file.
    """
    columns = []
    for field in schema:
        known = field.name in table.column_names
        try:
            columns.append(table[field.name].cast(field.type) if known else pa.nulls(len(table), field.type))
        except pa.ArrowException as error:
            raise BadInput(f"{field.name} of two files is of unlike kinds, make them alike: {error}") from error
    return pa.table(columns, schema=schema)
