"""Scoring in parts that outlive a kill: each some objects of the input, each a file that is there whole or not at all."""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.tables import write_parquet
from astro_lightning.predict.score import Scorer

log = logging.getLogger(__name__)

OBJECTS = 512  # of a part: what a kill can cost, and what a worker takes at once
# What a part counts among its objects.
SEEN = b"seen_in_training"
BLANK = b"nothing_measured"
COUNTED = 2_000_000  # rows of which it is looked whether two have one id
# Sorting, finishing and writing take copies of a table.
COPIES = 4
ROW_GROUP = 2**16

_own: Scorer | None = None


class WorkerDied(BadInput):
    """A scoring process was killed; what the others did is kept."""


def score_parts(scorer: Scorer, tables: Iterable[pa.Table], folder: Path, workers: int = 1) -> list[Path]:
    """Score tables of records part by part; parts that an earlier call left in the folder are not scored again.

    Args:
        scorer: Scores in this process, or is made anew in each worker.
        tables: The same tables, in the same order, at every call on one folder.
        folder: Of the parts, `score` columns without `finish`.
        workers: Processes that score; this one reads, at most two parts a worker ahead.

    Returns:
        The parts in the input's order.

    Raises:
        BadInput: Identifiers of several types.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []

    def missing() -> Iterator[tuple[pa.Table, Path]]:
        kinds = set()
        for table in tables:
            kinds.add(table.schema.field("id").type)
            if len(kinds) > 1:
                raise BadInput(
                    f"identifiers are {' in one file and '.join(sorted(map(str, kinds)))} in another: use one type"
                )
            for start in range(0, table.num_rows, OBJECTS):
                parts.append(folder / f"{len(parts):08d}.parquet")
                if not parts[-1].exists():
                    yield table.slice(start, OBJECTS), parts[-1]

    if workers <= 1:
        for table, file in missing():
            score_part(scorer, table, file)
        return parts
    waiting: deque[Future[None]] = deque()
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, scorer.arguments) as pool:
        try:
            for table, file in missing():
                if len(waiting) >= 2 * workers:
                    waiting.popleft().result()
                waiting.append(pool.submit(_score, _packed(table), file))
            while waiting:
                waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerDied(
                f"a scoring process died, of memory perhaps: the same command goes on, with fewer than workers={workers}"
            ) from error
        finally:
            for future in waiting:
                future.cancel()
    return parts


def score_part(scorer: Scorer, table: pa.Table, file: Path) -> None:
    """Score records into a file, written under another name, then renamed; it says how many were seen in training or are blank."""
    records = Records.from_table(table)
    seen = scorer.seen_in_training(object_hashes(records))
    counts = {SEEN: str(seen), BLANK: str(records.blank.sum())}
    scored = scorer.score(records).replace_schema_metadata(counts)
    write_parquet([scored], file)


def warn_of_objects(parts: Sequence[Path], n: int) -> None:
    """Scores of objects that the network learned from, or in which nothing is measured, say nothing; an id may stand twice."""
    counts = [pq.read_schema(part).metadata or {} for part in parts]
    for key, what in (
        (SEEN, "were in the training split of this checkpoint: their scores say nothing of its quality"),
        (BLANK, "hold not one usable value: their scores say nothing of them"),
    ):
        found = sum(int(count.get(key, 0)) for count in counts)
        if found:
            log.warning("%d of %d objects %s", found, n, what)
    if n <= COUNTED:
        ids = pa.concat_tables(pq.read_table(part, columns=["id"]) for part in parts)["id"]
        if several := n - pc.count_distinct(ids).as_py():
            log.warning("%d of %d rows have the id of another row", several, n)


def finished(scorer: Scorer, parts: Iterable[Path], memory_gib: float) -> Iterator[pa.Table]:
    """The user's table, in the order of the parts; see `blocks`."""
    schema: pa.Schema | None = None
    for _, table in blocks(scorer, parts, memory_gib):
        schema = schema or table.schema
        yield _like(table, schema)


def finish_in_blocks(scorer: Scorer, parts: Iterable[Path], memory_gib: float, folder: Path) -> None:
    """The user's table as files of the same names and rows as the parts; see `blocks`."""
    schema: pa.Schema | None = None
    for files, table in blocks(scorer, parts, memory_gib):
        schema = schema or table.schema
        start = 0
        for file in files:
            rows = pq.read_metadata(file).num_rows
            own = _like(table.slice(start, rows), schema)
            write_parquet([own], folder / file.name)
            start += rows


def blocks(scorer: Scorer, parts: Iterable[Path], memory_gib: float) -> Iterator[tuple[list[Path], pa.Table]]:
    """Consecutive parts together, finished.

    Columns that need all objects together are made over all of them if their scores fit into `memory_gib`; else over
    consecutive blocks of that size, which a warning tells. They are made in the order of the identifiers, so that a
    catalogue of the same objects in another order gives the same.
    """
    files: list[Path] = []
    waiting: list[pa.Table] = []
    rows, size, made = 0, 0, 0
    for part in [*parts, None]:
        if part is not None:
            files.append(part)
            waiting.append(pq.read_table(part).replace_schema_metadata(None))
            rows, size = rows + waiting[-1].num_rows, size + waiting[-1].nbytes
            if size * COPIES < memory_gib * 2**30 and (scorer.needs_whole or rows < ROW_GROUP):
                continue
        if waiting:
            whole = pa.concat_tables(waiting).combine_chunks()
            yield files, finish_in_order(scorer, whole) if scorer.needs_whole else whole
            files, waiting, rows, size, made = [], [], 0, 0, made + 1
    if scorer.needs_whole and made > 1:
        log.warning(
            "%d blocks: columns that need all objects together (flags, class proportions) were made for each block alone; "
            "give more data.memory_gib to make them over all",
            made,
        )


def finish_in_order(scorer: Scorer, table: pa.Table) -> pa.Table:
    """`Scorer.finish` of the rows in the order of their identifiers, given back in the table's own order."""
    order = pc.sort_indices(table, sort_keys=[("id", "ascending")])
    return scorer.finish(table.take(order)).take(pc.sort_indices(order))


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    # A block may lack a column that has no value there.
    missing = [field for field in schema if field.name not in table.column_names]
    for field in missing:
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _packed(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _start(*arguments: object) -> None:
    global _own
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _own = Scorer(*arguments)  # type: ignore[arg-type]


def _end_with_parent() -> None:
    # A killed parent cannot tell its workers to stop.
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _score(packed: pa.Buffer, file: Path) -> None:
    assert _own is not None
    score_part(_own, pa.ipc.open_stream(packed).read_all(), file)
