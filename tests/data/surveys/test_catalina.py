"""Magnitudes in one band: what odd times, identifiers and sources of a user's own files become."""

import pyarrow as pa
import pyarrow.parquet as pq

from astro_lightning.data.records import Records
from astro_lightning.data.surveys.catalina import BYTES_PER_OBSERVATION, Catalina


def curves(path, mjd, **columns):
    lists = {name: [[value] * len(times) for times in mjd] for name, value in (("mag", 15.0), ("magerr", 0.1))}
    pq.write_table(pa.table({"id": list(range(len(mjd))), "mjd": mjd, **lists, **columns}), path / "curves.parquet")
    return pa.concat_tables(Catalina().read(path))


def test_times_far_from_the_others_of_a_curve_are_left_out_and_said(tmp_path, caplog):
    plates = [float(day) for day in range(11_000, 48_000, 1_000)]  # a century
    read = curves(tmp_path, [[0.0, 55_000.0, 55_001.0, 2_455_002.5, 55_003.0], plates, [], [0.0, 1.0, 2.0]])
    assert read["mjd"].to_pylist() == [[55_000.0, 55_001.0, 55_003.0], plates, [], [0.0, 1.0, 2.0]]
    assert "2 observations left out, at times 40000 days or more" in caplog.text and "first: 0" in caplog.text


def test_of_long_curves_fewer_are_read_at_once(tmp_path):
    curves(tmp_path, [list(range(50_000, 51_000))] * 12 + [[]])
    survey = Catalina(memory_gib=4000 * BYTES_PER_OBSERVATION / 2**30)
    assert [len(table) for table in survey.chunks(tmp_path / "curves.parquet")] == [4, 4, 4, 1]
    curves(tmp_path, [[50_000.0]] * 12)
    assert [len(table) for table in survey.chunks(tmp_path / "curves.parquet")] == [10, 2]


def test_a_curve_whose_source_is_not_named_is_a_source_of_its_own(tmp_path):
    read = curves(tmp_path, [[1.0]] * 4, source=pa.array([7, None, 7, None]))
    assert read["id"].to_pylist() == [0, 1, 2, 3]
    groups = Records.from_table(read).groups
    assert groups[0] == groups[2] and len(set(groups)) == 3


def test_identifiers_keep_their_zeros_whatever_their_column_is_called(tmp_path):
    rows = "".join(f"{name},5{i},15,0.1\n" for i, name in enumerate(["12", "7", "007"]))
    for column in ("obj_id", "id", "_id"):
        (tmp_path / "stars.csv").write_text(f"{column},mjd,mag,magerr\n{rows}")
        assert pa.concat_tables(Catalina().read(tmp_path))["id"].to_pylist() == ["12", "7", "007"]
