import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.plasticc_features import COLUMNS, PlasticcFeatures
from astro_lightning.data.surveys.uea_lsst import COLUMNS as GRID
from astro_lightning.data.surveys.uea_lsst import UeaLsst


def statistics(n=4):
    return pd.DataFrame(
        {"object_id": np.arange(n) + 7} | {name: np.arange(n) + i / 100 for i, name in enumerate(COLUMNS)}
    )


def metadata(ids):
    n = len(ids)
    columns = {"hostgal_photoz": np.linspace(0, 1, n), "hostgal_photoz_err": 0.1, "mwebv": 0.02, "ddf": 1, "target": 90}
    return pd.DataFrame({"object_id": ids, "hostgal_specz": 9.0, **columns})


def read(reader, path):
    return pa.concat_tables(reader.read(path))


def test_statistics_are_joined_to_metadata_by_id_whatever_the_files_are_called(tmp_path):
    table = statistics()
    table.to_parquet(tmp_path / "test_features.parquet")
    metadata(table.object_id.to_numpy()[::-1]).to_parquet(tmp_path / "some_metadata.parquet")
    found = read(PlasticcFeatures(), tmp_path)
    assert found["id"].to_pylist() == [7, 8, 9, 10]
    np.testing.assert_allclose(found["photoz"].to_numpy(), np.linspace(0, 1, 4)[::-1], rtol=1e-6)
    assert found["label"].to_pylist() == ["90"] * 4
    assert (found["specz"].to_numpy() == 9).all()
    np.testing.assert_allclose(Records.from_table(found).fixed["statistics"], table[COLUMNS].to_numpy(), rtol=1e-6)


def test_statistics_without_labels_or_metadata_take_the_table_s_own_redshift(tmp_path):
    statistics().assign(z__=0.3, zerr__=0.01, mwebv__=0.1).to_parquet(tmp_path / "features.parquet")
    found = read(PlasticcFeatures(), tmp_path)
    assert found["label"].null_count == 4
    np.testing.assert_allclose(found["photoz"].to_numpy(), 0.3, rtol=1e-6)


def test_objects_that_the_metadata_lack_are_kept(tmp_path):
    statistics().to_parquet(tmp_path / "features.parquet")
    metadata(np.array([8])).to_parquet(tmp_path / "training_set_metadata.parquet")
    found = read(PlasticcFeatures(), tmp_path)
    assert found["label"].to_pylist() == [None, "90", None, None]


def test_a_missing_statistic_is_named(tmp_path):
    statistics().drop(columns="skew__3").to_parquet(tmp_path / "features.parquet")
    with pytest.raises(BadInput, match="skew__3"):
        read(PlasticcFeatures(), tmp_path)


def grid(n=3):
    return pd.DataFrame(np.arange(n * 216, dtype=np.float32).reshape(n, 216), columns=GRID)


def test_grids_keep_band_and_time_order_and_number_their_rows(tmp_path):
    grid().assign(target=[90, 15, 6])[["target", *GRID[::-1]]].to_parquet(tmp_path / "any_train.parquet")
    found = read(UeaLsst(), tmp_path)
    assert found["id"].to_pylist() == [0, 1, 2] and found["label"].to_pylist() == ["90", "15", "6"]
    np.testing.assert_array_equal(Records.from_table(found).fixed["flux_grid"], grid().to_numpy())


def test_unlabelled_grids_are_read_from_the_file_itself(tmp_path):
    grid().to_parquet(tmp_path / "lsst_test.parquet")
    assert read(UeaLsst(), tmp_path / "lsst_test.parquet")["label"].null_count == 3


def test_a_missing_grid_column_is_named(tmp_path):
    grid().drop(columns="b3_t07").to_parquet(tmp_path / "lsst.parquet")
    with pytest.raises(BadInput, match="b3_t07"):
        read(UeaLsst(), tmp_path)


def test_objects_without_identifiers_are_numbered_through_all_files(tmp_path, caplog):
    grid(2).to_parquet(tmp_path / "a.parquet")
    grid(3).to_parquet(tmp_path / "b.parquet")
    reader = UeaLsst()
    assert read(reader, tmp_path)["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert read(reader, tmp_path)["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert "objects are numbered in the order of reading" in caplog.text
    grid(2).assign(objid=[8, 9]).to_parquet(tmp_path / "b.parquet")
    assert read(reader, tmp_path / "b.parquet")["id"].to_pylist() == [8, 9]


@pytest.mark.parametrize("form", ["renamed", "absent", "strangers"])
def test_redshifts_that_are_not_found_are_warned_of(tmp_path, caplog, form):
    statistics().to_parquet(tmp_path / "features.parquet")
    table = metadata(np.array([7, 8]) if form == "strangers" else np.arange(4) + 7)
    if form == "renamed":
        table = table.rename(columns={"hostgal_photoz": "photo_z"})
    if form != "absent":
        table.to_csv(tmp_path / "metadata.csv", index=False)
    read(PlasticcFeatures(), tmp_path)
    said = "2 of 4 objects have no metadata row" if form == "strangers" else "redshifts are not known"
    assert said in caplog.text
