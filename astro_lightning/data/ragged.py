"""Lists of unequal length as two flat arrays."""

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

TAKEN = 1 << 20  # values that `take` looks up at once


@dataclass(frozen=True)
class Ragged:
    """Row i holds `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        values: All rows one after another, shape (n_values,).
        offsets: Integers, shape (n_rows + 1,), ascending; the first need not be 0.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_arrow(cls, column: pa.Array | pa.ChunkedArray) -> "Ragged":
        """Take a list column.

        One chunk of numbers without nulls is not copied (so a memory-mapped file stays on disk); several chunks are
        joined, Booleans are unpacked from bits, and null values become NaN.

        Raises:
            ValueError: A row is null instead of an empty list.
        """
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        parts = [_take_chunk(chunk) for chunk in chunks]
        if len(parts) == 1:
            return cls(*parts[0])
        if not parts:
            return cls(np.empty(0, dtype=column.type.value_type.to_pandas_dtype()), np.zeros(1, dtype=np.int64))
        lengths = np.concatenate([np.diff(offsets) for _, offsets in parts])
        values = np.concatenate([values[offsets[0] : offsets[-1]] for values, offsets in parts])
        return cls(values, _offsets(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Values in each row, shape (n_rows,)."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copy rows, in the order asked for.

        Args:
            rows: Integers, shape (n,); negative ones count from the end, repeats are allowed.

        Returns:
            values of shape (sum of lengths,) and int64 offsets of shape (n + 1,), starting at 0.
        """
        lengths = self.lengths[rows]
        offsets = _offsets(lengths)
        shift = self.offsets[:-1][rows].astype(np.int64) - offsets[:-1]
        taken = np.empty(offsets[-1], self.values.dtype)
        # Some rows at a time: the places of all values would take many times the memory of the values.
        cuts = [0, *(np.flatnonzero(np.diff(offsets[1:] // TAKEN)) + 1).tolist(), len(lengths)]
        for first, last in itertools.pairwise(cuts):
            start, end = offsets[first], offsets[last]
            taken[start:end] = self.values[np.arange(start, end) + np.repeat(shift[first:last], lengths[first:last])]
        return taken, offsets


def _take_chunk(chunk: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(chunk, "values"):
        raise ValueError(f"a column is {chunk.type} where each row must hold a list")
    if chunk.null_count:
        raise ValueError("a row of a list column is null: give an empty list")
    if pa.types.is_fixed_size_list(chunk.type):
        offsets = np.arange(chunk.offset, chunk.offset + len(chunk) + 1, dtype=np.int64) * chunk.type.list_size
    else:
        offsets = chunk.offsets.to_numpy()
    return chunk.values.to_numpy(zero_copy_only=False), offsets


def _offsets(lengths: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
