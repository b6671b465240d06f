import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.ztf_dr import ZtfDr

NAME = "ztf_000355_zg_c01_q1_dr13.parquet"


def release(ids, epochs, filterid=1):
    """A file in the layout of the data release: one row per object, list columns of its epochs."""
    n = len(ids)
    rng = np.random.default_rng(0)

    def lists(draw, kind):
        return pa.array([draw(k) for k in epochs], pa.list_(kind))

    return pa.table(
        {
            "objectid": pa.array(ids, pa.int64()),
            "filterid": pa.array([filterid] * n, pa.int8()),
            "fieldid": pa.array([355] * n, pa.int16()),
            "rcid": pa.array([0] * n, pa.int8()),
            "objra": pa.array(np.full(n, 10.0), pa.float32()),
            "objdec": pa.array(np.full(n, 20.0), pa.float32()),
            "nepochs": pa.array(epochs, pa.int64()),
            "hmjd": lists(lambda k: np.sort(rng.uniform(58200, 59000, k))[::-1], pa.float64()),
            "mag": lists(lambda k: np.full(k, 20.0), pa.float32()),
            "magerr": lists(lambda k: np.full(k, 0.1), pa.float32()),
            "clrcoeff": lists(lambda k: np.zeros(k), pa.float32()),
            "catflags": lists(lambda k: np.where(np.arange(k) % 3 == 2, 32768, 0), pa.int32()),
        }
    )


def test_records(tmp_path):
    table = release([7, 5, 9], [4, 0, 3], filterid=2)
    pq.write_table(table, tmp_path / NAME)
    got = pa.concat_tables(ZtfDr().read(tmp_path))
    assert got["id"].to_pylist() == [7, 5, 9] and got["label"].null_count == 3
    hmjd = table["hmjd"].to_pylist()
    assert got["mjd"].to_pylist() == [sorted(np.delete(hmjd[0], 2)), [], sorted(hmjd[2][:2])]
    assert got["band"].to_pylist() == [[2] * 3, [], [2] * 2]
    assert got["flux"][0].as_py() == pytest.approx([1000.0] * 3, rel=1e-5)
    assert got["flux_err"][0].as_py() == pytest.approx([1000 * 0.1 * 0.4 * np.log(10)] * 3, rel=1e-5)
    assert got["detected"][0].as_py() == [True] * 3


def test_object_with_only_flagged_epochs_stays_empty(tmp_path):
    table = release([1], [2]).set_column(11, "catflags", pa.array([[1, 1]], pa.list_(pa.int32())))
    pq.write_table(table, tmp_path / NAME)
    assert pa.concat_tables(ZtfDr().read(tmp_path))["mjd"].to_pylist() == [[]]


def test_streamed_in_bounded_chunks_over_files_at_any_depth(tmp_path):
    (tmp_path / "0" / "field000355").mkdir(parents=True)
    pq.write_table(release(range(50), [6] * 50), tmp_path / "0" / "field000355" / NAME, row_group_size=20)
    pq.write_table(release(range(50, 60), [6] * 10, 3), tmp_path / NAME.replace("zg", "zi"))
    survey = ZtfDr(memory_gib=0.002)
    chunks = [chunk for source in survey.find(tmp_path) for chunk in survey.chunks(source)]
    assert max(len(chunk) for chunk in chunks) <= 20 and len(chunks) > 5
    joined, whole = pa.concat_tables(chunks), pa.concat_tables(ZtfDr().read(tmp_path, "unlabelled"))
    assert joined["id"].to_pylist() == list(range(60))
    assert (
        joined["mjd"].equals(whole["mjd"].cast(joined["mjd"].type))
        or joined["mjd"].to_pylist() == whole["mjd"].to_pylist()
    )
    assert not list(ZtfDr().read(tmp_path, "labelled"))


def test_missing_column_is_named(tmp_path):
    pq.write_table(release([1], [2]).drop_columns("catflags"), tmp_path / NAME)
    with pytest.raises(BadInput, match=r"dr13.parquet: missing column catflags; found objectid, filterid"):
        list(ZtfDr().read(tmp_path))


def test_lists_of_unequal_length_are_refused(tmp_path):
    table = release([1], [2]).set_column(8, "mag", pa.array([[20.0]], pa.list_(pa.float32())))
    pq.write_table(table, tmp_path / NAME)
    with pytest.raises(BadInput, match="differ in length"):
        list(ZtfDr().read(tmp_path))


def test_folder_without_release_files(tmp_path):
    with pytest.raises(BadInput, match=r"holds no data of ZtfDr: looked for ztf_<field>"):
        ZtfDr().read(tmp_path)
