"""Catalina light curves: the reader, the features, and periods that agree with the catalogue's."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.tasks.scope.measure import measure

CURVES = 40


@pytest.fixture(scope="module")
def sample(shared_data, tmp_path_factory):
    """A few short-period pulsators and eclipsing binaries in a file of their own."""
    table = pq.read_table(shared_data / "scope" / "css_periodic_variables.parquet")
    kind = table["type_name"].to_numpy(zero_copy_only=False)
    chosen = [np.flatnonzero(kind == name)[:10] for name in ("RRab", "RRc", "contact_or_semidetached_EB", "EA")]
    path = tmp_path_factory.mktemp("catalina") / "sample.parquet"
    pq.write_table(table.take(pa.array(np.concatenate(chosen))), path)
    return path


@pytest.fixture(scope="module")
def records(sample):
    return Records.from_table(pa.concat_tables(Catalina().read(sample)))


def test_the_folder_is_read_whole_and_in_order(shared_data):
    folder = shared_data / "scope"
    ids = pq.read_table(folder / "css_periodic_variables.parquet", columns=["id"])["id"].to_numpy()
    read = list(Catalina(memory_gib=2).read(folder))
    np.testing.assert_array_equal(np.concatenate([table["id"].to_numpy() for table in read]), ids)
    first = Records.from_table(read[0])
    mjd, offsets = first.ragged["mjd"].take(np.arange(100))
    step = np.diff(mjd)
    step[offsets[1:-1] - 1] = 0
    assert (step >= 0).all()
    assert 53_000 < mjd.min() < mjd.max() < 57_000


def test_labels_and_periods_are_optional(sample, tmp_path):
    raw = tmp_path / "raw.parquet"
    pq.write_table(pq.read_table(sample, columns=["id", "mjd_1e6", "mag_1e4", "magerr_1e4"]), raw)
    table = next(iter(Catalina().read(raw)))
    assert table.num_rows == CURVES
    assert "label" not in table.column_names


def test_missing_columns_are_named(sample, tmp_path):
    raw = tmp_path / "raw.parquet"
    pq.write_table(pq.read_table(sample, columns=["id", "mjd_1e6", "mag_1e4"]), raw)
    with pytest.raises(BadInput, match="magerr_1e4"):
        list(Catalina().read(raw))


def test_candidates_hold_the_catalogue_period(records):
    found = measure(records, np.arange(CURVES), processes=1)
    distance = np.abs(1 / (found["frequency"] * records.column("period")[:, None]) - 1).min(1)
    assert (distance < 0.01).mean() >= 0.95
    assert np.isfinite(found["statistics"]).all()
    np.testing.assert_allclose(np.linalg.norm(found["dmdt"], axis=1), 1, rtol=1e-5)
    lengths = records.ragged["mag"].lengths
    np.testing.assert_array_equal(found["statistics"][:, 0], lengths)
