import pyarrow as pa
import pytest

from astro_lightning.data.tables import mean_of_objects


def test_numbers_of_an_object_in_several_tables_are_averaged_and_words_kept():
    parts = [{"id": ["a", "b"], "label": ["STAR", "QSO"], "prob_STAR": p} for p in ([0.8, 0.2], [0.6, 0.4])]
    merged = mean_of_objects([pa.table(part) for part in parts])
    assert merged["id"].to_pylist() == ["a", "b"] and merged["label"].to_pylist() == ["STAR", "QSO"]
    assert merged["prob_STAR"].to_pylist() == pytest.approx([0.7, 0.3])


def test_tables_of_different_objects_are_joined_as_they_are():
    parts = [pa.table({"id": [i], "set": [["STAR"]]}) for i in (1, 2)]
    assert mean_of_objects(parts).equals(pa.concat_tables(parts))
