"""HATS catalogues of the sky through LSDB and Dask: partition by partition, light curves as nested columns."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from astro_lightning.core.build import reader_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.long_tables import LongTableSurvey
from astro_lightning.data.survey import Survey
from astro_lightning.predict.files import parts_folder, reader_block
from astro_lightning.predict.parts import finish_in_blocks, score_part, warn_of_objects
from astro_lightning.predict.score import Scorer

PROPERTIES = ("hats.properties", "properties", "collection.properties")


def is_catalogue(path: Path) -> bool:
    """Whether a folder is a HATS catalogue or a collection of them."""
    return any((path / name).is_file() for name in PROPERTIES)


def predict_catalogue(
    scorer: Scorer, data: dict[str, Any], out: Path, workers: int = 1, scheduler: str | None = None
) -> int:
    """Score a HATS catalogue into another one: its position columns, `id` and the columns of the task, same partitions.

    The survey's own reader reads each partition, so that a catalogue is treated as the survey's files are. Scored partitions
    outlive a kill; see `parts.finish_in_blocks` for columns that need all objects together.

    Args:
        scorer: An exact one gives what the same objects in one file get, to the last bit.
        data: `path`, `memory_gib` and the survey whose reader reads a partition.
        out: Folder of the new catalogue.
        workers: Processes of a local Dask cluster; 1 computes here.
        scheduler: Address of a Dask cluster that is there already.

    Returns:
        Number of objects scored.

    Raises:
        BadInput: `out` is there, LSDB is not installed, or the catalogue lacks columns that the reader needs.
    """
    path = Path(data["path"])
    if out.exists():
        raise BadInput(f"{out} exists: remove it, or give another name")
    with _dask(workers, scheduler) as lsdb:
        catalogue = lsdb.open_catalog(path)
        catalogue.margin = None
        info = catalogue.hc_structure.catalog_info
        position = [info.ra_column, info.dec_column]
        reading = (reader_block(data, scorer), data["memory_gib"])
        with parts_folder(out, scorer, [str(reading[0]), reading[1]], path) as folder:
            scored, done = folder / "scored", folder / "finished"
            scored.mkdir(parents=True, exist_ok=True)
            nothing = pd.DataFrame({"id": pd.Series([], dtype="int64")})
            catalogue.map_partitions(
                _score_partition, scorer.arguments, reading, scored, meta=nothing, include_pixel=True
            ).compute(progress_bar=False)
            parts = sorted(scored.glob("[0-9]*.parquet"))
            if not parts:
                raise BadInput(f"{path} holds no object: nothing to write")
            finish_in_blocks(scorer, parts, data["memory_gib"], done)
            n = sum(pq.read_metadata(part).num_rows for part in parts)
            schema = pq.read_schema(done / parts[0].name)
            scores = catalogue[position].map_partitions(_finished_partition, position, done, schema, include_pixel=True)
            fresh = folder / "catalogue"
            scores.write_catalog(fresh, catalog_name=out.name, as_collection=False, overwrite=True, progress_bar=False)
            os.replace(fresh, out)
            warn_of_objects(parts, n)
    return n


@contextmanager
def _dask(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        import dask
        import distributed
        import lsdb
    except ImportError as error:
        raise BadInput("catalogues need further packages: pip install 'astro-lightning[catalogue]'") from error
    if workers <= 1 and not scheduler:
        with dask.config.set(scheduler="synchronous"):
            yield lsdb
        return
    with tempfile.TemporaryDirectory() as folder:
        local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "local_directory": folder}
        with distributed.Client(scheduler, **({} if scheduler else local)):
            yield lsdb


@lru_cache(maxsize=1)
def _scorer(arguments: tuple[Any, ...]) -> Scorer:
    torch.set_num_threads(1)
    return Scorer(*arguments)


def _score_partition(
    partition: pd.DataFrame, pixel: Any, arguments: tuple[Any, ...], reading: tuple[dict[str, Any], float], folder: Path
) -> pd.DataFrame:
    file = folder / f"{_name(pixel)}.parquet"
    if len(partition) and not file.exists():
        survey = reader_of(*reading)
        table = pa.Table.from_pandas(partition, preserve_index=False)
        score_part(_scorer(arguments), read_partition(survey, table, str(pixel)), file)
    return pd.DataFrame({"id": pd.Series([], dtype="int64")})


def _finished_partition(
    partition: pd.DataFrame, pixel: Any, position: list[str], folder: Path, schema: pa.Schema
) -> pd.DataFrame:
    file = folder / f"{_name(pixel)}.parquet"
    table = pq.read_table(file) if len(partition) else schema.empty_table()
    scores = table.to_pandas(types_mapper=pd.ArrowDtype)
    scores.index = partition.index
    return pd.concat([partition[position], scores.drop(columns=position, errors="ignore")], axis=1)


def _name(pixel: Any) -> str:
    return f"{pixel.order:02d}-{pixel.pixel:012d}"


def read_partition(survey: Survey[Any], table: pa.Table, where: str) -> pa.Table:
    """Records of a partition, by the survey's own reader from files in its own layout.

    Args:
        survey: Its reader.
        table: One row per object; nested columns are lists of structures (`mjd`, `mag`, `magerr` ...).
        where: The partition, for messages.

    Raises:
        BadInput: The reader misses a column, or gives another number of objects.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "partition_lightcurves.parquet"
        if isinstance(survey, LongTableSurvey):
            flat, long = _long(table, where)
            pq.write_table(long, file)
            pq.write_table(flat, file.with_name("partition_metadata.parquet"))
        else:
            pq.write_table(_wide(table, where), file)
        try:
            records = pa.concat_tables(survey.read(file)).combine_chunks()
        except BadInput as error:
            raise BadInput(f"partition {where}: {str(error).replace(str(file), 'its rows')}") from error
    if records.num_rows != table.num_rows:
        raise BadInput(f"partition {where} holds {table.num_rows} objects, its reader gives {records.num_rows}")
    return records


def _nested(table: pa.Table) -> list[str]:
    kinds = {field.name: field.type for field in table.schema}
    lists = [name for name, kind in kinds.items() if pa.types.is_list(kind) or pa.types.is_large_list(kind)]
    return [name for name in lists if pa.types.is_struct(kinds[name].value_type)]


def _wide(table: pa.Table, where: str) -> pa.Table:
    """Each field of a nested column as a list column of its own."""
    for name in _nested(table):
        column = table[name].combine_chunks()
        column = pc.fill_null(column, []) if column.null_count else column
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        inner = column.flatten()
        table = table.drop_columns([name])
        for field in inner.type:
            if field.name in table.column_names:
                raise BadInput(f"partition {where}: {field.name} is a column, and a field of {name}: keep one of them")
            table = table.append_column(field.name, pa.LargeListArray.from_arrays(offsets, inner.field(field.name)))
    return table


def _long(table: pa.Table, where: str) -> tuple[pa.Table, pa.Table]:
    """Objects, and a row per observation with the object's first identifier column."""
    nested = _nested(table)
    if len(nested) != 1:
        raise BadInput(f"partition {where}: {len(nested)} nested columns: one must hold the observations")
    column = table[nested[0]].combine_chunks()
    flat = table.drop_columns(nested)
    names: Sequence[str] = [name for name in ("object_id", "id", "objectid", "oid") if name in flat.column_names]
    if not names:
        raise BadInput(f"partition {where}: the column object_id is missing")
    owner = flat[names[0]].combine_chunks().take(pc.list_parent_indices(column))
    inner = column.flatten()
    observations = {field.name: inner.field(field.name) for field in inner.type}
    flat = flat.rename_columns({names[0]: "object_id"})
    return flat, pa.table({**observations, "object_id": owner})
