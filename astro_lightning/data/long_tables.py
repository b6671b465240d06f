"""Surveys that ship a table with one row per observation and another with one row per object."""

import logging
import os
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astro_lightning.data.bands import Bands
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import (
    FLUX_ZERO_POINT,
    OBSERVATIONS,
    check_objects,
    choose_columns,
    to_observations,
    to_records,
    warn_of_float32,
)
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import column_names, padded_ids, parquet_file, read_batches, read_table

log = logging.getLogger(__name__)

# Peak memory per observation while a block of them becomes records, measured by benchmarks/light_curve_reading.py.
BYTES_PER_OBSERVATION = 150


# In the metadata of a part that `convert` wrote: what it was made of.
SOURCE = b"astro_lightning.source"


@dataclass(frozen=True)
class LongTables:
    """Photometry files and the metadata file that describes their objects."""

    photometry: tuple[Path, ...]
    metadata: Path | None


class LongTableSurvey(Survey[LongTables]):
    """Reader for such surveys: CSV, gzipped CSV or Parquet, as files or in a folder.

    What fits into `memory_gib` is read whole, and its objects come in the order of the metadata. More than that is
    streamed in blocks that end between two objects: objects then come in the order of the photometry, those without
    observations at the end, and the rows of one object must stand together.
    """

    bands: ClassVar[Bands]
    zero_point: ClassVar[float] = FLUX_ZERO_POINT
    photometry_stem: ClassVar[str] = r".*lightcurves(_\d+)?"
    metadata_word: ClassVar[str] = "metadata"

    @abstractmethod
    def objects(self, metadata: pa.Table, file: Path) -> pa.Table:
        """The survey's metadata as `light_curves.to_objects` makes it."""

    def find(self, path: Path) -> list[LongTables]:
        """Photometry files in the order of names and numbers, grouped by the metadata file that stands beside them.

        In a folder that `convert` wrote, its parts.
        """
        parts = tuple(file for file in visible(path, "*.parquet") if _converted(file)) if path.is_dir() else ()
        if parts:
            return [LongTables(parts, None)]
        files: dict[str, Path] = {}
        for file in sorted(visible(path if path.is_dir() else path.parent, "*"), key=_name_and_numbers):
            stem = _stem(file)
            if stem and stem in files:
                log.warning("%s is read, %s beside it is not: keep one form of a table", files[stem], file.name)
            elif stem:
                files[stem] = file
        if path.is_dir():
            chosen = {stem: file for stem, file in files.items() if re.fullmatch(self.photometry_stem, stem)}
        else:
            stem = _stem(path)
            chosen = {stem: path} if stem and not stem.endswith(self.metadata_word) else {}
        groups: dict[Path | None, list[Path]] = {}
        for stem, file in chosen.items():
            base = re.sub(r"(_batch\d+|_?lightcurves(_\d+)?)$", "", stem)
            metadata = files.get(f"{base}_{self.metadata_word}".lstrip("_")) or files.get(self.metadata_word)
            groups.setdefault(metadata, []).append(file)
        return [LongTables(tuple(photometry), metadata) for metadata, photometry in groups.items()]

    def chunks(self, source: LongTables) -> Iterator[pa.Table]:
        """Records of photometry files that share a metadata file, or those that `convert` wrote."""
        if all(map(_converted, source.photometry)):
            for file in source.photometry:
                for batch in parquet_file(file).iter_batches(8192):
                    yield pa.Table.from_batches([batch]).replace_schema_metadata(None)
            return
        if source.metadata is None:
            log.warning(
                "%s: no table *%s beside it: redshifts and labels are not known",
                source.photometry[0],
                self.metadata_word,
            )
        text_ids = _text_ids(source)
        objects = self._objects(source.metadata, text_ids)
        seen: list[pa.ChunkedArray] = []
        for records in self._stream(source.photometry, objects, text_ids):
            seen.append(records["id"])
            yield records
        yield from _unobserved(objects, seen)

    def convert(self, path: Path, out: Path) -> list[Path]:
        """Write records as Parquet, one part per photometry file and one for objects that none of them observed.

        A part that an earlier call finished from the same input (name, size, time of change) with the same classes is
        kept. Parts are written under a temporary name and renamed, so that a part that is there is whole.

        Args:
            path: As for `read`.
            out: Folder; made where absent.

        Returns:
            The parts, in reading order.

        Raises:
            BadInput: As `read`, or the observations of one object are spread over two files.
        """
        out.mkdir(parents=True, exist_ok=True)
        parts = []
        for source in self.sources(path):
            own = [out / f"{_stem(file)}.parquet" for file in source.photometry]
            if out.resolve() in {file.parent.resolve() for file in source.photometry}:
                raise BadInput(f"{out} holds the survey's own files, which the parts would hide; give another folder")
            stamps = [self._stamp(file, source.metadata) for file in source.photometry]
            todo = [k for k, part in enumerate(own) if not _finished(part, stamps[k])]
            text_ids = _text_ids(source)
            objects = self._objects(source.metadata, text_ids)
            for k in todo:
                tables = self._stream(source.photometry[k : k + 1], objects, text_ids, only_observed=True)
                _write(tables, own[k], stamps[k])
            ids = [pq.read_table(part, columns=["id"])["id"] for part in own]
            _check_disjoint(ids, source.photometry)
            rest = _unobserved(objects, ids)
            if rest and source.metadata:
                own.append(out / f"{_stem(source.metadata)}_unobserved.parquet")
                _write(rest, own[-1], self._stamp(source.metadata, None))
            parts += own
        return parts

    def _objects(self, file: Path | None, text_ids: bool) -> pa.Table | None:
        return None if file is None else self.objects(read_table(file, text_ids), file)

    def _stream(
        self, files: tuple[Path, ...], objects: pa.Table | None, text_ids: bool, only_observed: bool = False
    ) -> Iterator[pa.Table]:
        where = files[0].name if len(files) == 1 else f"{files[0].name} .. {files[-1].name}"
        closed: pa.Array | None = None
        rows = max(1, int(self.memory_gib * 2**30 / BYTES_PER_OBSERVATION))
        for block, is_last in _whole_objects(self._observations(files, rows, text_ids), rows):
            if is_last and closed is None and not only_observed:
                yield to_records(block, objects, where=where)
                return
            if objects is not None and closed is None:
                check_objects(objects, block["id"].type, where)
            ids = pc.unique(block["id"])
            again = ids.slice(0, 0) if closed is None else ids.filter(pc.is_in(ids, value_set=closed))
            if len(again):
                raise BadInput(
                    f"{where}: the rows of object {again[0].as_py()} do not stand together: sort by object id, "
                    f"or raise memory_gib (now {self.memory_gib}) until it is read whole"
                )
            closed = ids if closed is None else pa.concat_arrays([closed, ids])
            known = None if objects is None else objects.take(pc.drop_null(pc.index_in(ids, value_set=objects["id"])))
            yield to_records(block, known, where=where)
        if closed is None:
            raise BadInput(f"{where}: no observations: give a file that has rows")

    def _observations(self, files: tuple[Path, ...], rows: int, text_ids: bool) -> Iterator[pa.Table]:
        for file in files:
            names = choose_columns(column_names(file), str(file))
            first_row = 0
            for batch in read_batches(file, names, rows, text_ids):
                if not first_row:
                    warn_of_float32(batch.schema.field(names["mjd"]).type, str(file))
                yield to_observations(
                    batch, self.bands, where=str(file), first_row=first_row, zero_point=self.zero_point
                )
                first_row += batch.num_rows

    def _stamp(self, file: Path, metadata: Path | None) -> bytes:
        facts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in (file, metadata) if f]
        return repr((facts, list(self.classes.items()))).encode()


def _text_ids(source: LongTables) -> bool:
    """Whether one identifier of a CSV begins with a zero: then they are text in all files, so that they can be joined."""
    return any(padded_ids(file) for file in (*source.photometry, source.metadata) if file)


def _whole_objects(tables: Iterable[pa.Table], rows: int) -> Iterator[tuple[pa.Table, bool]]:
    """Join tables to blocks of about `rows` rows that end between two objects; says of each whether it is the last."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(part.num_rows for part in pending) < rows:
            continue
        block = pa.concat_tables(pending)
        runs = pc.run_end_encode(block["id"].combine_chunks()).run_ends
        if len(runs) > 1:
            cut = runs[-2].as_py()
            yield block.slice(0, cut), False
            block = block.slice(cut)
        pending = [block]
    if sum(part.num_rows for part in pending):
        yield pa.concat_tables(pending), True


def _unobserved(objects: pa.Table | None, seen: list[pa.ChunkedArray]) -> list[pa.Table]:
    """Records, with empty lists, of the objects whose id was not seen."""
    if objects is None:
        return []
    ids = pa.chunked_array([chunk for column in seen for chunk in column.chunks], objects["id"].type)
    rest = objects.filter(pc.invert(pc.is_in(objects["id"], value_set=ids)))
    nothing = OBSERVATIONS.set(0, pa.field("id", rest["id"].type)).empty_table()
    return [to_records(nothing, rest)] if rest.num_rows else []


def _check_disjoint(ids: list[pa.ChunkedArray], files: tuple[Path, ...]) -> None:
    counts = pc.value_counts(pa.chunked_array([chunk for column in ids for chunk in column.chunks]))
    spread = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(spread):
        raise BadInput(
            f"{files[0].parent}: object {spread[0].as_py()} has observations in several of its {len(files)} files: "
            "put each object into one file"
        )


def _converted(file: Path) -> bool:
    try:
        return file.suffix == ".parquet" and SOURCE in (pq.read_schema(file).metadata or {})
    except (pa.ArrowInvalid, OSError):  # not Parquet, or cut short: said when it is read
        return False


def _finished(part: Path, stamp: bytes) -> bool:
    return part.exists() and (pq.read_schema(part).metadata or {}).get(SOURCE) == stamp


def _write(tables: Iterable[pa.Table], part: Path, stamp: bytes) -> None:
    temporary = part.with_name(f".{part.name}.{os.getpid()}")
    writer = None
    try:
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(temporary, table.schema.with_metadata({SOURCE: stamp}), compression="zstd")
            writer.write_table(table, row_group_size=65536)
        if writer:
            writer.close()
            temporary.replace(part)
    finally:
        temporary.unlink(missing_ok=True)


def _stem(file: Path) -> str | None:
    name = re.fullmatch(r"(.+?)\.(?:csv|csv\.gz|parquet)", file.name)
    return name[1] if name else None


def _name_and_numbers(file: Path) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]
