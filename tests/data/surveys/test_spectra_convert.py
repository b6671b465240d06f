import numpy as np
import pyarrow.parquet as pq
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import write_records
from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.data.surveys.spectra_convert import convert_spectra
from astro_lightning.data.surveys.spectra_grid import WAVELENGTH_A, spectra_table
from tests.data.surveys.test_spectra_forms import curve, flux_of, read, sdss


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_a_folder_is_converted_to_one_file_that_reads_back(tmp_path, ending):
    sdss(tmp_path / "spec-0266-51602-0031.fits")
    sdss(tmp_path / "spec-7102-56666-0082.fits", "SPALL", PLATE=("J", 7102))
    (tmp_path / "spec-none.fits").write_bytes(b"nothing")
    out = tmp_path / "out" / f"all.{ending}"
    done = convert_spectra(tmp_path, out, progress=False)
    assert done.n_spectra == 2
    assert [path.name for path, _ in done.skipped] == ["spec-none.fits"]
    assert list(out.parent.iterdir()) == [out]
    converted, direct = read(out), read(tmp_path / "spec-0266-51602-0031.fits")
    assert converted["id"].to_pylist() == ["266-51602-31", "7102-56666-82"]
    np.testing.assert_array_equal(flux_of(converted), flux_of(direct))


def test_forms_that_know_different_facts_lose_none_in_a_conversion(tmp_path):
    flux = np.tile(curve(WAVELENGTH_A), (2, 1)).astype(np.float32)
    for name, ids, facts in (("a", ["1", "2"], {}), ("b", ["s3", "s4"], {"label": ["STAR", "QSO"], "z": [0.0, 2.0]})):
        pq.write_table(spectra_table(flux, np.ones_like(flux), {"id": ids, **facts}), tmp_path / f"{name}.parquet")
    assert convert_spectra(tmp_path, tmp_path / "out" / "all.parquet", progress=False).n_spectra == 4
    table = read(tmp_path / "out" / "all.parquet")
    assert table["label"].to_pylist() == [None, None, "STAR", "QSO"]
    assert table["z"].to_pylist() == [None, None, 0.0, 2.0]
    (tmp_path / "out" / "all.parquet").unlink()
    pq.write_table(spectra_table(flux, np.ones_like(flux), {"id": [5, 6]}), tmp_path / "0.parquet")
    with pytest.raises(BadInput, match="id of two files is of unlike kinds"):
        convert_spectra(tmp_path, tmp_path / "out" / "all.parquet", progress=False)
    with pytest.raises(BadInput, match="two files have unlike columns"):
        write_records(Spectra().read(tmp_path), tmp_path / "records")


def test_a_conversion_that_finds_nothing_leaves_nothing(tmp_path):
    (tmp_path / "spec-none.fits").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="none of 1"):
        convert_spectra(tmp_path / "spec-none.fits", tmp_path / "out" / "all.parquet", progress=False)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(BadInput, match=r"\.parquet or \.feather"):
        convert_spectra(tmp_path, tmp_path / "all.txt")
