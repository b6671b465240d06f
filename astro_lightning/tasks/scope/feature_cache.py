"""Measured features on disk, by content: a killed run goes on where it was, another split reads what is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.whole_file import whole_file
from astro_lightning.tasks.scope.features import FEATURES, WIDTHS
from astro_lightning.tasks.scope.measure import measure, measure_periodic

CHUNK = 256
# Raise when a formula changes: what was measured before is then measured anew.
VERSION = 1


def feature_file(folder: Path, records: Records, rows: np.ndarray, settings: Mapping[str, Any]) -> Path:
    """Where the features of these rows are kept: a name made of their light curves and of how they are measured."""
    curves = Records(records.flat, records.ragged, {})
    how = {key: value for key, value in settings.items() if key != "processes"} | {"version": VERSION, "widths": WIDTHS}
    digest = hashlib.sha256(object_hashes(curves, rows).tobytes() + json.dumps(how, sort_keys=True).encode())
    return folder / f"{digest.hexdigest()[:24]}.npz"


def measure_chunk(
    folder: Path, records: Records, rows: np.ndarray, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The features of some rows, from disk where they are there."""
    file = feature_file(folder, records, rows, settings)
    if file.exists():
        with np.load(file) as kept:
            return dict(kept)
    found = measure(records, rows, **settings)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as temporary, temporary.open("wb") as out:
        np.savez(out, **found)  # type: ignore[arg-type]
    return found


def periodic_features(records: Records, score: Path, settings: Mapping[str, Any]) -> np.ndarray:
    """All features at the periods that scores choose, kept beside the file of scores chunk by chunk.

    Returns:
        Shape (objects, len(FEATURES)), float32.
    """
    folder = score.with_suffix(".features")
    folder.mkdir(exist_ok=True)
    scores = np.load(score, mmap_mode="r")
    parts = []
    for rows in track(chunks(len(records)), "features at the chosen periods"):
        file = folder / f"{rows[0]:08d}-{VERSION}-{len(FEATURES)}.npy"
        if not file.exists():
            found = measure_periodic(records, rows, scores[rows], settings["min_gap_d"], settings["processes"])
            with whole_file(file) as temporary, temporary.open("wb") as out:
                np.save(out, found)
        parts.append(np.load(file))
    return np.concatenate(parts)


def chunks(count: int) -> list[np.ndarray]:
    """Rows 0 .. count in chunks."""
    return [np.arange(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
