"""What data a number was measured on: content hashes of objects, of a table and of a split."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from astro_lightning.data.records import Records

_ODD = np.uint64(0x9E3779B97F4A7C15)
# Values of a column that are hashed at once: copies take 40 bytes of each, and a survey's columns may be larger than memory.
VALUES = 1 << 20


def object_hashes(records: Records, rows: np.ndarray | None = None) -> np.ndarray:
    """A 64-bit content hash per object over its ragged and fixed columns (flat number columns where it has neither).

    Identifiers and labels take no part: the same light curve under another name is the same object.

    Returns:
        uint64 array of shape (n_rows,).
    """
    rows = np.arange(len(records)) if rows is None else rows
    if not records.ragged and not records.fixed:
        total = np.zeros(len(rows), dtype=np.uint64)
        for name, column in _numbers(records):
            total += _mix(_bits(column[rows]) + _salt(name))
        return total
    widths = [ragged.lengths[rows] for ragged in records.ragged.values()]
    widths += [np.full(len(rows), values.shape[1]) for values in records.fixed.values()]
    block = np.cumsum(np.max(widths, axis=0)) // VALUES
    return np.concatenate([_hashes(records, own) for own in np.split(rows, np.flatnonzero(np.diff(block)) + 1)])


def _hashes(records: Records, rows: np.ndarray) -> np.ndarray:
    total = np.zeros(len(rows), dtype=np.uint64)
    for name in sorted(records.ragged):
        values, offsets = records.ragged[name].take(rows)
        bits = _bits(values)
        position = np.arange(len(bits), dtype=np.uint64) - np.repeat(offsets[:-1], np.diff(offsets)).astype(np.uint64)
        total += _mix(_segment_sums(_mix(bits ^ _mix(position + np.uint64(1))), offsets) + _salt(name))
    for name in sorted(records.fixed):
        bits = _bits(np.asarray(records.fixed[name][rows]))
        position = np.arange(bits.shape[1], dtype=np.uint64)
        total += _mix(_mix(bits ^ _mix(position + np.uint64(1))).sum(axis=1, dtype=np.uint64) + _salt(name))
    return total


def fingerprint(records: Records, splits: Mapping[str, np.ndarray]) -> dict[str, str]:
    """SHA-256 over the content of all objects, labels and metadata included, and over who is in which split."""
    hashes = object_hashes(records)
    ids = records.ids.astype(str)
    content = hashlib.sha256(hashes.tobytes())
    for name, column in _numbers(records):
        content.update(name.encode() + _bits(column).tobytes())
    content.update("\n".join(f"{label}" for label in records.labels).encode())
    membership = hashlib.sha256()
    for part in sorted(splits):
        membership.update(f"{part}:{chr(10).join(ids[splits[part]])}".encode())
    return {"content_sha256": content.hexdigest(), "split_sha256": membership.hexdigest()}


def _numbers(records: Records) -> Iterator[tuple[str, np.ndarray]]:
    """Flat columns of numbers, float64: redshifts and other metadata."""
    for name in sorted(set(records.flat.column_names) - {"id", "group", "label"}):
        column = records.column(name)
        if column.dtype.kind in "fiub":
            values = column.astype(np.float64)
            yield name, np.where(np.isnan(values), np.nan, values)  # one NaN, whoever wrote it


def _bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        # -0.0 equals 0.0 and float32 equals its float64: both must hash alike.
        return (values.astype(np.float64) + 0.0).view(np.uint64)
    return values.astype(np.int64).view(np.uint64)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(31))) * _ODD
    return (bits ^ (bits >> np.uint64(29))) * _ODD


def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def _segment_sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    running = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)])
    return running[offsets[1:]] - running[offsets[:-1]]
