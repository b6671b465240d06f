import itertools
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_lightning.data.ragged import Ragged

ROWS = [[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]]


def listed(ragged):
    return [ragged.values[a:b].tolist() for a, b in itertools.pairwise(ragged.offsets)]


def test_one_chunk_is_not_copied():
    array = pa.array(ROWS, pa.list_(pa.float64()))
    ragged = Ragged.from_arrow(pa.chunked_array([array]))
    assert np.shares_memory(ragged.values, array.values.to_numpy())
    assert listed(ragged) == ROWS and ragged.lengths.tolist() == [2, 0, 1, 3] and len(ragged) == 4


def test_rows_are_taken_some_at_a_time(monkeypatch):
    ragged = Ragged.from_arrow(pa.array(ROWS * 5, pa.list_(pa.float64())))
    rows = np.array([3, 0, -1, 1, 3, 7, 1, 12])
    whole = ragged.take(rows)
    for size in (1, 2, 4, 7, 100):
        monkeypatch.setattr("astro_lightning.data.ragged.TAKEN", size)
        assert [part.tolist() for part in ragged.take(rows)] == [part.tolist() for part in whole]
    assert [len(part) for part in ragged.take(rows[:0])] == [0, 1]


def test_a_long_take_needs_little_memory_beside_its_values():
    ragged = Ragged(np.zeros(2_000_000, np.float32), np.arange(0, 2_000_001, 100))
    tracemalloc.start()
    taken, _ = ragged.take(np.arange(20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * taken.nbytes  # the places of all values are int64, and three arrays


def test_memory_mapped_file_is_not_copied(tmp_path):
    table = pa.table({"flux": pa.array(ROWS, pa.list_(pa.float32()))})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    before = pa.total_allocated_bytes()
    mapped = pa.ipc.open_file(pa.memory_map(str(tmp_path / "t.arrow"))).read_all()
    ragged = Ragged.from_arrow(mapped["flux"])
    assert listed(ragged) == ROWS
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.bool_())])
def test_slices_and_chunks(kind):
    rows = [[1, 0], [], [1], [0, 1, 1]]
    array = pa.array([[bool(v) for v in row] if kind.value_type == pa.bool_() else row for row in rows], kind)
    assert listed(Ragged.from_arrow(array.slice(1, 2))) == rows[1:3]
    chunked = pa.chunked_array([array.slice(2), array.slice(0, 2), array.slice(0, 0)])
    assert listed(Ragged.from_arrow(chunked)) == rows[2:] + rows[:2]
    assert len(Ragged.from_arrow(pa.chunked_array([], kind))) == 0


def test_fixed_size_lists():
    array = pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int32(), 2))
    assert listed(Ragged.from_arrow(array.slice(1))) == [[3, 4], [5, 6]]


def test_null_row_is_refused():
    with pytest.raises(ValueError, match="null"):
        Ragged.from_arrow(pa.array([[1], None], pa.list_(pa.int8())))


@given(st.lists(st.lists(st.integers(-99, 99), max_size=5), min_size=1, max_size=8), st.data())
def test_take_matches_plain_python(rows, data):
    ragged = Ragged.from_arrow(pa.array([[0], *rows], pa.list_(pa.int64())).slice(1))
    chosen = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=10))
    values, offsets = ragged.take(np.array(chosen, dtype=int))
    assert [values[a:b].tolist() for a, b in itertools.pairwise(offsets)] == [rows[k] for k in chosen]
