import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from record_schema import record_schema

from astro_lightning.data.surveys.spcc import Spcc

TYPES = ["Ia", "II", "IIn", "IIL", "IIP", "Ib", "Ic", "Ibc"]
INPUTS = {"object_id", "mwebv", "host_photoz", "host_photoz_err"}


def tables(ids):
    n = len(ids)
    photometry = pa.table(
        {
            "object_id": np.repeat(ids, 4),
            "mjd": np.tile([56171.0, 56171.1, 56171.2, 56180.0], n),
            "passband": pa.array([0, 1, 2, 3] * n, pa.int8()),
            "flux": pa.array([1.0, 20.0, 3.0, 4.0] * n, pa.float32()),
            "flux_err": pa.array([1.0, 1.0, 1.0, -9.0] * n, pa.float32()),
        }
    )
    metadata = pa.table(
        {
            "object_id": ids,
            "sntype": [1, *[-9] * (n - 1)],
            "sim_type": TYPES[:n],
            "mwebv": np.full(n, 0.5),
            "z_final": np.full(n, 0.4),
            "z_spec": [0.25, *[-9.0] * (n - 1)],
            "host_photoz": np.full(n, 0.5),
            "host_photoz_err": np.full(n, 0.125),
            "sim_z": np.full(n, 0.4),
        }
    )
    return photometry, metadata


def read(folder, photometry, metadata):
    pq.write_table(photometry, folder / "lightcurves.parquet")
    pq.write_table(metadata, folder / "metadata.parquet")
    return pa.concat_tables(Spcc().read(folder))


def test_classes_bands_and_metadata(tmp_path):
    table = read(tmp_path, *tables(np.arange(8)))
    assert table["label"].to_pylist() == ["Ia", "II", "II", "II", "II", "Ibc", "Ibc", "Ibc"]
    assert table["band"][0].as_py() == [1, 2, 3]
    assert table["detected"][0].as_py() == [False, True, False]
    assert table["spec_subset"].to_pylist() == [True] + [False] * 7
    assert table["specz"][0].as_py() == 0.25 and np.isnan(table["specz"][1].as_py())
    assert table["photoz"].to_pylist() == [0.5] * 8 and table["photoz_err"].to_pylist() == [0.125] * 8


def test_nothing_that_leaks_the_answer_is_kept(tmp_path):
    table = read(tmp_path, *tables(np.arange(8)))
    assert set(table.column_names) == {*record_schema().names, "spec_subset"}


@pytest.mark.parametrize("ids", [np.array([5, 2, 9]), np.array(["c", "a", "b"])])
def test_held_out_file_without_labels(tmp_path, ids):
    photometry, metadata = tables(ids)
    table = read(tmp_path, photometry, metadata.select([name for name in metadata.column_names if name in INPUTS]))
    assert table["id"].to_pylist() == ids.tolist()
    assert table["label"].null_count == 3 and table["spec_subset"].to_pylist() == [False] * 3


def test_a_redshift_that_is_not_there_is_warned_of(tmp_path, caplog):
    photometry, metadata = tables([1, 2])
    read(tmp_path, photometry, metadata)
    assert "no column" not in caplog.text
    found = read(tmp_path, photometry, metadata.drop_columns(["host_photoz"]))
    assert "no column host_photoz, unknown for all objects; found object_id, sntype" in caplog.text
    assert np.isnan(found["photoz"].to_numpy()).all()
