import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.tables import mean_of_objects, parquet_file, read_batches, read_table


def test_numbers_of_an_object_in_several_tables_are_averaged_and_words_kept():
    parts = [{"id": ["a", "b"], "label": ["STAR", "QSO"], "prob_STAR": p} for p in ([0.8, 0.2], [0.6, 0.4])]
    merged = mean_of_objects([pa.table(part) for part in parts])
    assert merged["id"].to_pylist() == ["a", "b"] and merged["label"].to_pylist() == ["STAR", "QSO"]
    assert merged["prob_STAR"].to_pylist() == pytest.approx([0.7, 0.3])


def test_tables_of_different_objects_are_joined_as_they_are():
    parts = [pa.table({"id": [i], "set": [["STAR"]]}) for i in (1, 2)]
    assert mean_of_objects(parts).equals(pa.concat_tables(parts))


def test_identifiers_of_csv_keep_their_zeros_and_empty_words_are_not_known(tmp_path):
    (tmp_path / "a.csv").write_text("object_id,kind\n007,Ia\n7,\n")
    (tmp_path / "b.csv").write_text("object_id,kind\n8,Ia\n7,\n")
    assert read_table(tmp_path / "a.csv").to_pydict() == {"object_id": ["007", "7"], "kind": ["Ia", None]}
    assert read_table(tmp_path / "b.csv")["object_id"].to_pylist() == [8, 7]
    (batch,) = read_batches(tmp_path / "a.csv", {"id": "object_id"}, 10)
    assert batch["object_id"].to_pylist() == ["007", "7"]


@pytest.mark.parametrize("rows", [1_000, 40_000])
def test_a_parquet_file_is_not_held_while_its_batches_are_read(tmp_path, rows):
    values = np.random.default_rng(0).random((40_000, 50))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 50)
    pq.write_table(pa.table({"flux": lists}), tmp_path / "a.parquet", row_group_size=rows)
    before, most, n = pa.total_allocated_bytes(), 0, 0
    with parquet_file(tmp_path / "a.parquet") as file:
        for batch in file.iter_batches(1_000):
            most, n = max(most, pa.total_allocated_bytes() - before), n + len(batch)
    assert n == 40_000 and most < values.nbytes / 2
