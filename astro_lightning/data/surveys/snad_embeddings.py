"""Sequences of frame embeddings of ZTF objects with the labels of the SNAD experts (Semenikhin et al. 2024)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astro_lightning.data.binary_labels import binary_labels
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import cast
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import Survey
from astro_lightning.data.surveys.parquet_files import parquet_files
from astro_lightning.data.tables import parquet_file, read_table

log = logging.getLogger(__name__)

ARTEFACT, OTHER = "artefact", "other"
FIELD_DIVISOR = 10**12
# Means and log-variances of real frames are below 10; the exponential of more than this is no float32.
LARGEST = 80.0
FEATURES = "lightcurve_features.parquet"


def field_of(oid: np.ndarray) -> np.ndarray:
    """ZTF field of object identifiers: what stands before the last 12 digits (filter, detector, quadrant, number)."""
    return np.asarray(oid, dtype=np.int64) // FIELD_DIVISOR


class SnadEmbeddings(Survey[Path]):
    """Reader of `embeddings.parquet`, and of `lightcurve_features.parquet` beside it.

    Frames with a value that is not finite are left out and counted in the log; an object without another, or without any,
    stays, with one frame at the centre of the latent space.

    Records have `mu` and `logvar` (flat lists, frame after frame), `group` (the field) and, with light-curve features,
    `features`, a structure of float32 under the names of that file's columns, in their order.

    Args:
        lightcurves: Join the light-curve features; an object without them gets NaN.
        latent_dims: Latent dimensions per frame.
        ambiguous_tags: An object with no tag beside these is marked `ambiguous`: it is scored, and left out of training.
        **arguments: Of `Survey`.
    """

    layout = "embeddings.parquet with the columns oid, mu8 and logvar8 (frames in time order, flattened)"

    def __init__(
        self,
        *,
        lightcurves: bool = False,
        latent_dims: int = 8,
        ambiguous_tags: Sequence[str] = (),
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.ambiguous_tags = set(ambiguous_tags)
        self.lightcurves, self.latent_dims = lightcurves, latent_dims

    def find(self, path: Path) -> list[Path]:
        """Parquet files that have embeddings among their columns."""
        return parquet_files(path, [("oid",), *(self._names(name) for name in ("mu", "logvar"))], beside=FEATURES)

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records in bounded numbers of rows."""
        features = self._features(source) if self.lightcurves else None
        first = 0
        # About 450 frames an object, two float32 arrays, and as much again while converting.
        rows = max(1, int(self.memory_gib * 2**30 / (450 * self.latent_dims * 16)))
        for batch in parquet_file(source).iter_batches(batch_size=min(rows, 100_000)):
            oid = _oids(pa.Table.from_batches([batch.select(["oid"])]), source).to_numpy()
            mu, logvar = (self._lists(batch, name, oid, source) for name in ("mu", "logvar"))
            columns: dict[str, pa.Array] = {
                "id": pa.array(oid),
                "label": binary_labels(batch["label"], ARTEFACT, OTHER, f"{source.name}: label")
                if "label" in batch.schema.names
                else pa.nulls(len(oid), pa.string()),
                "group": pa.array(field_of(oid)),
                "ambiguous": self._ambiguous(batch),
                **self._usable(mu, logvar, oid, source),
            }
            if features is not None:
                columns["features"] = features.slice(first, len(oid))
            yield pa.table(columns)
            first += len(oid)

    def _ambiguous(self, batch: pa.RecordBatch) -> pa.Array:
        if "tags" not in batch.schema.names:
            return pa.array([False] * batch.num_rows)
        listed = pa.types.is_nested(batch["tags"].type)
        texts = (batch["tags"] if listed else batch["tags"].cast(pa.string())).to_pylist()
        tags = [set(tags or [] if listed else (tags or "").split("|")) - {""} for tags in texts]
        return pa.array([bool(found) and found <= self.ambiguous_tags for found in tags])

    def _names(self, name: str) -> tuple[str, str]:
        return f"{name}{self.latent_dims}", name

    def _lists(self, batch: pa.RecordBatch, kind: str, oid: np.ndarray, source: Path) -> pa.Array:
        column = batch[next(name for name in self._names(kind) if name in batch.schema.names)]
        column = column.cast(pa.list_(pa.float32()))
        # An object without frames is one whose only frame cannot be used.
        nothing = pa.scalar([np.nan] * self.latent_dims, column.type)
        column = pc.if_else(pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0), column, nothing)
        lengths = pc.list_value_length(column).to_numpy()
        bad = np.flatnonzero(lengths % self.latent_dims != 0)
        if len(bad):
            raise BadInput(
                f"{source.name}: oid {oid[bad[0]]} has {lengths[bad[0]]} values of {kind}, not a multiple of {self.latent_dims}: "
                "give all latent dimensions of each frame"
            )
        if "n_frames" in batch.schema.names and pa.types.is_integer(batch["n_frames"].type):
            frames = pc.fill_null(batch["n_frames"], 0).to_numpy()
            bad = np.flatnonzero((frames > 0) & (lengths != frames * self.latent_dims))
            if len(bad):
                raise BadInput(
                    f"{source.name}: oid {oid[bad[0]]} has {lengths[bad[0]]} values of {kind} in {frames[bad[0]]} frames, not "
                    f"{self.latent_dims} in each: give embeddings with that many latent dimensions"
                )
        return column

    def _usable(self, mu: pa.Array, logvar: pa.Array, oid: np.ndarray, source: Path) -> dict[str, pa.Array]:
        """Means and log-variances of the frames that have both; an object without any gets one frame that says nothing."""
        lengths = pc.list_value_length(mu).to_numpy()
        unequal = np.flatnonzero(lengths != pc.list_value_length(logvar).to_numpy())
        if len(unequal):
            raise BadInput(f"{source.name}: oid {oid[unequal[0]]} has unlike numbers of values in its two lists")
        frames = np.stack([values.flatten().to_numpy(zero_copy_only=False) for values in (mu, logvar)])
        frames = frames.reshape(2, -1, self.latent_dims)
        good = (np.abs(frames) < LARGEST).all(axis=(0, 2))
        if good.all():
            return {"mu": mu, "logvar": logvar}
        owner = np.repeat(np.arange(len(oid)), lengths // self.latent_dims)
        count = np.bincount(owner[good], minlength=len(oid))
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        empty = first[count == 0]
        frames[:, empty], good[empty] = 0, True
        log.warning(
            "%s: %d of %d frames left out, whose values are not finite or beyond %g; %d objects have no other",
            source.name, (~good).sum() + len(empty), len(good), LARGEST, len(empty),
        )  # fmt: skip
        offsets = pa.array(np.concatenate([[0], np.cumsum(np.maximum(count, 1))]) * self.latent_dims, pa.int32())
        kept = (pa.array(values[good].ravel()) for values in frames)
        return {name: pa.ListArray.from_arrays(offsets, values) for name, values in zip(("mu", "logvar"), kept)}

    def _features(self, source: Path) -> pa.StructArray:
        """Light-curve features of all objects of a file, in its order."""
        file = source.parent / FEATURES
        if not file.is_file():
            raise BadInput(f"{file} is missing: put the light-curve features of these objects beside {source.name}")
        table = read_table(file)
        index = [
            name for name in (table.schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)
        ]
        known = _oids(table, file, *index)
        row = pc.index_in(_oids(pq.read_table(source, columns=["oid"]), source), value_set=known).combine_chunks()
        if row.null_count and row.null_count == len(row):
            raise BadInput(f"{file}: none of its oid is an object of {source.name}: give the features of these objects")
        if row.null_count:
            log.warning("%s: %d of %d objects have no light-curve features", source.name, row.null_count, len(row))
        found: dict[str, pa.Array] = {}
        for name in [name for name in table.column_names if name not in ("oid", "label", *index)]:
            try:
                found[name] = table[name].cast(pa.float32(), safe=False).combine_chunks().take(row)
            except pa.ArrowException as error:
                log.warning("%s: column %s holds no numbers and is left out: %s", file.name, name, error)
        if not found:
            raise BadInput(f"{file} holds no light-curve features: give a number of each object in each of its columns")
        return pa.StructArray.from_arrays(list(found.values()), list(found))


def _oids(table: pa.Table, file: Path, *index: str) -> pa.ChunkedArray:
    """Identifiers as int64, whatever type they were written in, from `oid` or from these columns."""
    return cast(Metadata(table, file).ids("oid", *index), pa.int64(), "oid", str(file))
