"""Spectra that cannot be read, and files that are none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.spectra import Spectra
from tests.data.surveys.test_spectra_forms import read, sdss


def test_unreadable_files_are_skipped_with_their_reason(tmp_path):
    sdss(tmp_path / "spec-0266-51602-0031.fits")
    whole = (tmp_path / "spec-0266-51602-0031.fits").read_bytes()
    (tmp_path / "spec-cut.fits").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "spec-none.fits").write_bytes(b"not a FITS file")
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "spec-image.fits")
    survey = Spectra()
    table = pa.concat_tables(list(survey.read(tmp_path)))
    assert table["id"].to_pylist() == ["266-51602-31"]
    reasons = {path.name: reason for path, reason in survey.skipped}
    assert set(reasons) == {"spec-cut.fits", "spec-none.fits", "spec-image.fits"}
    assert "cut short" in reasons["spec-cut.fits"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 3000])
def test_a_folder_without_one_readable_spectrum_is_refused(tmp_path, content):
    (tmp_path / "spec-1.fits").write_bytes(content)
    with pytest.raises(BadInput, match="none of 1"):
        read(tmp_path)


def test_a_parquet_without_spectra_is_refused(tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "s.parquet")
    with pytest.raises(BadInput, match="column flux"):
        read(tmp_path)
    pq.write_table(pa.table({"id": [1], "flux": pa.array([[1.0, 2.0]])}), tmp_path / "s.parquet")
    with pytest.raises(BadInput, match="2600"):
        read(tmp_path)
    # Two lists that together have the right number of values are two wrong lists.
    pq.write_table(
        pa.table({"id": [1, 2, 3], "flux": [[1.0] * 2600, [1.0] * 2500, [1.0] * 2700]}), tmp_path / "s.parquet"
    )
    with pytest.raises(BadInput, match="flux of row 1 holds 2500 numbers"):
        read(tmp_path)


def test_one_stray_file_costs_no_spectrum_of_a_folder(tmp_path, caplog):
    flux = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(2600, np.float32)), 2600)
    pq.write_table(pa.table({"id": [1], "flux": flux}), tmp_path / "s.parquet")
    pq.write_table(pa.table({"id": [1], "prob_STAR": [0.5]}), tmp_path / "scores.parquet")
    (tmp_path / "labels.csv").write_text("id,label\n1,STAR\n")
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(tmp_path / "flat.fits")
    assert read(tmp_path)["id"].to_pylist() == ["1"]
    for name in ("scores.parquet", "labels.csv", "flat.fits"):
        assert name in caplog.text
    (tmp_path / "s.parquet").unlink()
    (tmp_path / "flat.fits").unlink()
    (tmp_path / "scores.parquet").unlink()
    with pytest.raises(BadInput, match=r"1\.txt"):
        read(tmp_path)


def test_facts_that_are_no_input_stop_nothing_and_identifiers_are_found_and_complete(tmp_path, caplog):
    flux = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(5200, np.float32)), 2600)
    facts = {
        "z": ["n/a", "0.5"],
        "zwarning": ["", "4"],
        "ra": [["x"], None],
        "survey": pa.array(["a", "a"]).dictionary_encode(),
    }
    for name in ("specobjid", "OBJID", "object_id", "id"):
        pq.write_table(
            pa.table({name: pa.array(["b", "a"]).dictionary_encode(), "flux": flux, **facts}), tmp_path / "s.parquet"
        )
        table = read(tmp_path)
        assert table["id"].to_pylist() == ["b", "a"] and table["id"].type == pa.string()
    assert table["z"].to_pylist() == [None, 0.5] and table["zwarning"].to_pylist() == [None, 4]
    assert table["survey"].to_pylist() == ["a", "a"] and table["ra"].null_count == 2
    pq.write_table(pa.table({"objid": ["b", None], "flux": flux}), tmp_path / "s.parquet")
    with pytest.raises(BadInput, match="1 rows have no object id"):
        read(tmp_path)
    assert "numbered" not in caplog.text
    pq.write_table(pa.table({"flux": flux}), tmp_path / "s.parquet")
    assert read(tmp_path)["id"].to_pylist() == [0, 1] and "numbered" in caplog.text


def test_a_flux_that_no_unit_explains_is_a_pixel_that_was_not_measured(tmp_path):
    flux = np.ones((2, 2600), np.float32)
    flux[0, 5], flux[1] = 9.97e36, -1e30
    lists = pa.FixedSizeListArray.from_arrays(pa.array(flux.ravel()), 2600)
    pq.write_table(pa.table({"id": [1, 2], "flux": lists}), tmp_path / "s.parquet")
    records = Records.from_table(read(tmp_path))
    assert np.array_equal(np.flatnonzero(records.fixed["mask"] == 0), [5, *range(2600, 5200)])
    assert np.isnan(records.fixed["flux"][0, 5]) and records.fixed["ivar"][0, 5] == 0


def test_a_column_that_is_there_twice_is_named(tmp_path):
    flux = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(2600, np.float32)), 2600)
    table = pa.Table.from_arrays([pa.array([1]), flux, pa.array([1])], ["id", "flux", "id"])
    pq.write_table(table, tmp_path / "s.parquet")
    with pytest.raises(BadInput, match=r"s\.parquet: column id is there 2 times: keep one"):
        read(tmp_path)


def test_a_header_that_makes_no_sense_costs_one_spectrum_and_not_the_night(tmp_path, caplog):
    sdss(tmp_path / "spec-0266-51602-0031.fits")
    damaged = tmp_path / "spec-0266-51602-0032.fits"
    damaged.write_bytes((tmp_path / "spec-0266-51602-0031.fits").read_bytes().replace(b"NAXIS1  =", b"NAXIS9  ="))
    assert sum(table.num_rows for table in Spectra().read(tmp_path)) == 1
    assert damaged.name in caplog.text
    chinese = tmp_path / "train_data_1.fits"
    fits.PrimaryHDU(np.ones((2, 3000), np.float32)).writeto(chinese)
    chinese.write_bytes(chinese.read_bytes().replace(b"NAXIS1  =", b"NAXIS9  ="))
    with pytest.raises(BadInput, match=r"train_data_1.fits"):
        list(Spectra().read(chinese))
