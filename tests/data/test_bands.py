import numpy as np
import pyarrow as pa
import pytest

from astro_lightning.data.bands import BANDS, EFFECTIVE_WAVELENGTH_NM, band_index, wavelengths_nm
from astro_lightning.data.errors import BadInput


@pytest.mark.parametrize(
    ("values", "survey", "expected"),
    [
        ([0, 1, 2, 3, 4, 5], "lsst", "ugrizy"),
        (["u", "Y", "lsstg", "LSST_r", "lsst-i", "lsst::z"], "lsst", "uygriz"),
        ([1, 2, 3], "ztf", "gri"),
        (["zg", "zr", "zi", "ZTF_g", "ztfr", "i"], "ztf", "grigri"),
        ([0, 1, 2, 3], "des", "griz"),
        (["DES-g", "z", "decam_y"], "des", "gzy"),
        (["sdssu", "SDSS::z"], "sdss", "uz"),
        (["ps1_g", "PS1::y"], "ps1", "gy"),
        ([b"r", b"G"], "lsst", "rg"),
        ([2.0, 5.0], "lsst", "ry"),
        (["3", " i "], "lsst", "ii"),
        ([], "lsst", ""),
    ],
)
def test_names_and_numbers(values, survey, expected):
    index = band_index(values, survey)
    assert index.dtype == np.int8
    assert "".join(BANDS[k] for k in index) == expected


def test_numpy_and_chunked_input_agree():
    values = np.array([5, 0, 3], dtype=np.int8)
    chunked = pa.chunked_array([["y"], ["u", "i"]]).dictionary_encode()
    assert band_index(values, "lsst").tolist() == band_index(chunked, "lsst").tolist() == [5, 0, 3]


@pytest.mark.parametrize(("values", "row"), [([1, 2, 9], 102), (["g", None], 101), (["g", "r", "g", "w"], 103)])
def test_unknown_band_names_band_file_row_and_what_is_known(values, row):
    with pytest.raises(BadInput) as caught:
        band_index(values, "ztf", "curves.csv", first_row=100)
    message = str(caught.value)
    assert f"curves.csv, row {row}:" in message and repr(values[row - 100]) in message and "g = 1, g, zg" in message
    assert "\n" not in message


def test_band_of_another_survey_is_unknown():
    with pytest.raises(BadInput, match="'u' is not of ztf"):
        band_index(["u"], "ztf")
    with pytest.raises(BadInput, match="give one of lsst"):
        band_index(["u"], "kepler")


@pytest.mark.parametrize("survey", EFFECTIVE_WAVELENGTH_NM)
def test_wavelengths_rise_with_the_index(survey):
    wavelengths = wavelengths_nm(survey)
    known = wavelengths[np.isfinite(wavelengths)]
    assert wavelengths.shape == (6,) and (np.diff(known) > 0).all() and known[0] > 340 and known[-1] < 1010
    assert np.isfinite(wavelengths).tolist() == [band in EFFECTIVE_WAVELENGTH_NM[survey] for band in BANDS]


def test_bands_of_any_system_take_the_places_nearest_in_wavelength():
    atlas, gaia = {"c": 533.0, "o": 679.0}, {"G": 622.0, "BP": 511.0, "RP": 777.0}
    assert band_index(["o", "C", b"c"], atlas).tolist() == [2, 1, 1]
    assert [BANDS[k] for k in band_index(["g", "bp", "rp"], gaia)] == ["r", "g", "i"]
    assert wavelengths_nm(gaia)[[1, 2, 3]].tolist() == [511.0, 622.0, 777.0]
    assert np.isnan(wavelengths_nm(gaia)[[0, 4, 5]]).all()
    johnson = {"B": 436.0, "V": 545.0, "R": 641.0, "I": 798.0, "J": 1220.0, "H": 1630.0}
    assert band_index(list(johnson), johnson).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(BadInput, match=r"curves, row 1: band 'w' is not of the reader's .*g = c;"):
        band_index(["c", "w"], atlas, "curves")


@pytest.mark.parametrize(
    "bands", [{}, {"g": 480.0, "G": 622.0}, {"c": 0.0}, {"c": np.nan}, dict.fromkeys("abcdefg", 500.0)]
)
def test_bands_that_cannot_be_told_apart_are_refused(bands):
    with pytest.raises(BadInput, match="one to 6 names"):
        wavelengths_nm(bands)
