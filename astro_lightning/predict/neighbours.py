"""Nearest neighbours among embedded objects, in memory bounded by a part of the file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import column_names, parquet_file

ROWS = 65_536


def nearest(file: Path, name: str, k: int) -> list[tuple[str, str | None, float]]:
    """The k objects closest to one by the Euclidean distance of their vectors, itself left out.

    Args:
        file: What `mode=embed` wrote.
        name: Id of the object.
        k: How many.

    Returns:
        Id, label (None where not known) and distance, the nearest first.

    Raises:
        BadInput: No such file, one that holds no embedding, or no such object in it.
    """
    if not file.is_file():
        raise BadInput(f"{file} does not exist: write it with mode=embed")
    columns = column_names(file) if file.suffix == ".parquet" else []
    if not {"id", "embedding"} <= set(columns):
        raise BadInput(f"{file} holds no id and embedding: write it with mode=embed")
    asked = next((vectors[ids == name] for ids, _, vectors in _parts(file, columns) if (ids == name).any()), None)
    if asked is None:
        raise BadInput(f"{file}: no object has the id {name}")
    best: list[tuple[float, str, str | None]] = []
    for ids, labels, vectors in _parts(file, columns):
        distance = np.sqrt(((vectors - asked[0]) ** 2).sum(1))
        distance[ids == name] = np.inf
        order = np.argpartition(distance, min(k, len(distance)) - 1)[:k]
        best += [(float(distance[i]), ids[i], labels[i]) for i in order if np.isfinite(distance[i])]
        best = sorted(best, key=lambda found: found[0])[:k]
    return [(found, label, distance) for distance, found, label in best]


def _parts(file: Path, columns: list[str]) -> Iterator[tuple[np.ndarray, list[str | None], np.ndarray]]:
    wanted = [name for name in ("id", "label", "embedding") if name in columns]
    for batch in parquet_file(file).iter_batches(ROWS, columns=wanted):
        ids = batch["id"].cast(pa.string()).to_numpy(zero_copy_only=False)
        labels = batch["label"].to_pylist() if "label" in columns else [None] * len(ids)
        vectors = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
        yield ids, labels, vectors.reshape(len(ids), -1).astype(np.float64)
