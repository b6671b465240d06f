"""Light curves as CSV: a row per observation."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import astro_lightning

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.catalina import Catalina
from astro_lightning.tasks.scope.simulate import simulate

ROWS = """id,hjd,mag,magerr,type_name
7,2457001.5,15.1,0.1,RRab
3,2457000.5,16.0,0.1,EA
7,2457000.5,15.0,0.1,RRab
3,2457002.5,,0.1,EA
"""
BANDS = "oid,mjd,mag,magerr,filter\nb,2,15,.1,r\na,1,16,.1,g\nb,1,14,.1,g\nb,3,15.5,.1,r\n"


def read(folder):
    return pa.concat_tables(Catalina().read(folder))


def test_rows_become_curves_in_the_order_of_the_file(tmp_path):
    (tmp_path / "curves.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    (tmp_path / "notes.csv").write_text("star,remark\n7,bright\n")
    table = read(tmp_path)
    assert table["id"].to_pylist() == [7, 3]
    assert table["label"].to_pylist() == ["RRab", "EA"]
    assert table["mjd"].to_pylist() == [[57000.0, 57001.0], [57000.0]]
    np.testing.assert_allclose(table["mag"][0].as_py(), [15.0, 15.1], rtol=1e-6)


def test_several_bands_of_a_star_are_curves_of_one_source(tmp_path):
    (tmp_path / "curves.csv").write_text(BANDS)
    table = read(tmp_path / "curves.csv")
    assert table["id"].to_pylist() == ["b_r", "a_g", "b_g"]
    assert table["group"].to_pylist() == ["b", "a", "b"]
    assert table["mjd"].to_pylist() == [[2.0, 3.0], [1.0], [1.0]]


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "curves.csv").write_text("id,mjd,mag\n1,2,3\n")
    with pytest.raises(BadInput, match=r"curves.csv: missing column mag_err or magerr.*found id, mjd, mag"):
        read(tmp_path / "curves.csv")
    (tmp_path / "curves.csv").write_text("id,mjd,mag,magerr\n1,2,bright,3\n")
    with pytest.raises(BadInput, match="column mag is not double"):
        read(tmp_path / "curves.csv")


@pytest.mark.slow
def test_the_features_of_a_csv_are_those_of_its_parquet(tmp_path):
    table = simulate(3, 3)
    pq.write_table(table, tmp_path / "curves.parquet")
    lines = ["id,mjd,mag,magerr"]
    for star in table.to_pylist():
        rows = zip(star["mjd"], star["mag"], star["mag_err"])
        lines += [f"{star['id']},{t!r},{m!r},{e!r}" for t, m, e in rows]
    (tmp_path / "curves.csv").write_text("\n".join(lines))
    for kind in ("csv", "parquet"):
        astro_lightning(
            "features", str(tmp_path / f"curves.{kind}"), str(tmp_path / f"{kind}.parquet"), folder=tmp_path
        )
    of_csv, of_parquet = (pq.read_table(tmp_path / f"{kind}.parquet") for kind in ("csv", "parquet"))
    assert of_csv["id"].equals(of_parquet["id"])
    np.testing.assert_allclose(of_csv["period_ELS_EAOV"], of_parquet["period_ELS_EAOV"], rtol=1e-6)
