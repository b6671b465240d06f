"""A partitioned catalogue scored by several algorithms: one Parquet file a field, one row a source at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astro_lightning.core.build import reader_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.survey import visible
from astro_lightning.data.tables import write_parquet
from astro_lightning.tasks.scope.consolidate import RULES, consolidate, labels_above
from astro_lightning.tasks.scope.taxonomy import Taxonomy

log = logging.getLogger(__name__)

MADE = b"astro_lightning.made"  # key of the file's own metadata: by what, of what
SOURCES = "sources.parquet"
Score = Callable[[Records], Mapping[str, pa.Table]]


def write_fields(
    source: Path, out: Path, score: Score, info: Mapping[str, Any], rule: str = "mean", correct: bool = False,
    threshold: float = 0.5, scorers: str = "",
) -> tuple[int, int]:  # fmt: skip
    """Score every file of a folder; files that the same call wrote of the same input are kept, so that a stopped one goes on.

    A row holds `id`, `source` where the survey names one, `prob_<tag>_<algorithm>`, the algorithms merged as
    `prob_<tag>`, `period`, `type`, `tags` above the threshold, and `conflicts` with the hierarchy in words.

    Args:
        source: Folder with a file for each field, or one file.
        out: Folder: a file for each field; `sources.parquet` with a row for each source where there are sources.
        score: From records to the predictions of each algorithm, by its name.
        info: What the first algorithm learned of its data: `data`, `taxonomy` and the `tags` that all have.
        rule: `mean`, `median` or `max`, of the algorithms and of the curves of a source.
        correct: Raise a parent to its most probable child.
        threshold: Of `tags` and of exclusive tags that are both on.
        scorers: What scores, in words: files that others wrote are written anew.

    Returns:
        Number of fields and of rows.

    Raises:
        BadInput: An unknown rule, no file to score, one of the summary's name, or `out` is where the files to score lie.
    """
    if rule not in RULES:
        raise BadInput(f"rule={rule} is unknown; choose {', '.join(RULES)}")
    reader = reader_of(info["data"]["reader"], info["data"]["memory_gib"])
    files = [source] if source.is_file() else sorted(source.glob("*.parquet"))
    other = [] if source.is_file() else [file for file in visible(source, "*") if file.suffix != ".parquet"]
    if other:
        log.warning(
            "%s: %d files are passed over, a field is a *.parquet (first: %s)", source, len(other), other[0].name
        )
    if not files:
        raise BadInput(f"{source} holds no Parquet file: give a folder with a file for each field")
    if out.resolve() == files[0].parent.resolve():
        raise BadInput(f"{out} holds the files to score: give another folder to write")
    if SOURCES in (file.name for file in files):
        raise BadInput(f"{source}: {SOURCES} is the name of the summary over sources: give this field another")
    rows = 0
    for file in files:
        path, state = out / file.name, file.stat()
        made = repr((scorers, rule, correct, threshold, state.st_size, state.st_mtime_ns)).encode()
        if not path.exists() or (pq.read_schema(path).metadata or {}).get(MADE) != made:
            found = _scored(reader.read(file), score, info, rule, correct, threshold)
            write_parquet((table.replace_schema_metadata({MADE: made}) for table in found), path)
        rows += pq.read_metadata(path).num_rows
    every = pa.concat_tables([pq.read_table(out / file.name) for file in files], promote_options="default")
    if "source" in every.column_names:
        if unnamed := every["source"].null_count:
            log.warning("%d of %d curves name no source: %s has no row for them", unnamed, rows, out / SOURCES)
        kept = [n for n in every.column_names if n.startswith(("prob_", "source", "period"))]
        write_parquet([consolidate(every.select(kept), rule)], out / SOURCES)
    return len(files), rows


def _scored(
    tables: Iterator[pa.Table], score: Score, info: Mapping[str, Any], rule: str, correct: bool, threshold: float
) -> Iterator[pa.Table]:
    tags, taxonomy = info["tags"], Taxonomy.from_config(info["taxonomy"])
    for table in tables:
        records = Records.from_table(table)
        found = score(records)
        each = {tag: np.stack([scores[f"prob_{tag}"].to_numpy() for scores in found.values()]) for tag in tags}
        probability = {tag: RULES[rule](values.astype(np.float64), axis=0) for tag, values in each.items()}
        if correct:
            probability = taxonomy.corrected(probability)
        columns = {"id": table["id"].combine_chunks()}
        if "group" in table.column_names:
            columns["source"] = table["group"].combine_chunks()
        for name, scores in found.items():
            columns |= {f"prob_{tag}_{name}": scores[f"prob_{tag}"].combine_chunks() for tag in tags}
            for extra in ("period", "type"):
                if extra in scores.column_names and extra not in columns:
                    columns[extra] = scores[extra].combine_chunks()
        columns |= {f"prob_{tag}": pa.array(values.astype(np.float32)) for tag, values in probability.items()}
        scored = pa.table(columns)
        flags: list[list[str]] = [[] for _ in range(len(records))]
        for conflict in taxonomy.conflicts(probability, threshold=threshold):
            for row in conflict.rows:
                flags[row].append(f"{conflict.kind}: {', '.join(conflict.tags)}")
        words = pa.list_(pa.string())
        scored = scored.append_column("tags", pa.array(labels_above(scored, tags, threshold), words))
        yield scored.append_column("conflicts", pa.array(flags, words))
