import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.mallorn import Mallorn

TYPES = ["SN II", "AGN", "TDE", "SN Ia", "SN Iax[02cx-like]", "SLSN-I", "SN Ic-BL"]


def write(folder, prefix, ids, **log):
    n = len(ids)
    photometry = {
        "oid": pa.array(np.repeat(ids, 2), pa.int32()),
        "mjd": np.tile([61000.0, 61010.0], n),
        "passband": pa.array([0, 5] * n, pa.int8()),
        "flux": pa.array([1.0, np.nan] * n, pa.float32()),
        "flux_err": pa.array([0.1, 0.1] * n, pa.float32()),
    }
    pq.write_table(pa.table(photometry), folder / f"{prefix}lightcurves.parquet")
    pq.write_table(
        pa.table({"oid": pa.array(ids, pa.int32()), "EBV": np.full(n, 0.5), **log}), folder / f"{prefix}log.parquet"
    )


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path,
        "train_",
        np.arange(1, 8),
        Z=np.full(7, 0.25),
        Z_err=np.full(7, np.nan),
        SpecType=pa.array(TYPES, pa.large_string()),
        target=[0, 0, 1, 0, 0, 0, 0],
    )
    write(tmp_path, "unlabelled_", [11, 12], Z=[0.5, 0.75], Z_err=[0.125, 0.125], SpecType=[np.nan, np.nan])
    return tmp_path


def read(path, part="all", **options):
    return pa.concat_tables(Mallorn(**options).read(path, part))


def test_classes_and_parts(folder):
    assert read(folder, "labelled")["label"].to_pylist() == ["CC", "AGN", "TDE", "Ia", "Ia", "CC", "CC"]
    assert read(folder, "unlabelled")["id"].to_pylist() == [11, 12]
    assert read(folder, "labelled", classes={})["label"].to_pylist() == TYPES


def test_redshift_extinction_and_no_truth(folder):
    labelled, unlabelled = read(folder, "labelled"), read(folder, "unlabelled")
    assert labelled["photoz"][0].as_py() == labelled["specz"][0].as_py() == 0.25
    assert np.isnan(labelled["photoz_err"][0].as_py()) and labelled["mwebv"][0].as_py() == 0.5
    assert unlabelled["photoz_err"][0].as_py() == 0.125 and np.isnan(unlabelled["specz"][0].as_py())
    assert not {"target", "Z", "SpecType"} & set(labelled.column_names)


def test_flux_in_microjansky_becomes_zero_point_27_5(folder):
    flux = read(folder, "labelled")["flux"][0].as_py()
    assert flux == [pytest.approx(10 ** (0.4 * 3.6), rel=1e-6)]


@pytest.mark.parametrize("prefix", ["", "test_", "heldout"])
def test_any_prefix_without_labels(tmp_path, prefix):
    write(tmp_path, prefix, [3, 1], Z=[0.5, 0.5])
    if prefix == "heldout":
        (tmp_path / "heldoutlog.parquet").rename(tmp_path / "heldout_log.parquet")
    table = read(tmp_path)
    assert table["id"].to_pylist() == [3, 1] and table["label"].null_count == 2
    assert table["photoz"].to_pylist() == [0.5, 0.5]
    assert table["group"].to_pylist() == [3, 1]


def test_type_without_class(tmp_path):
    write(tmp_path, "train_", [1], SpecType=["CV"])
    with pytest.raises(BadInput, match=r"train_log.parquet: label 'CV' has no class"):
        read(tmp_path)


def test_possible_siblings_share_a_group(tmp_path):
    rows = [
        ("split_01", "TDE", 0.30),
        ("split_01", "TDE", 0.34),
        ("split_01", "TDE", 0.38),
        ("split_01", "TDE", 0.90),
        ("split_01", "AGN", 0.31),
        ("split_02", "TDE", 0.30),
        ("split_01", "TDE", 0.95),
        ("split_02", "TDE", -0.01),
    ]
    ids = np.array([8, 3, 5, 9, 1, 2, 7, 6])
    split, kind, redshift = zip(*rows)
    write(tmp_path, "train_", ids, split=list(split), SpecType=list(kind), Z=list(redshift))
    assert read(tmp_path)["group"].to_pylist() == [3, 3, 3, 7, 1, 2, 7, 6]
