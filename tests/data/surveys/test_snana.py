import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.snana import Snana

CURVES = {"21": [60000.0, 60001.0, 60003.0], "SN7": [60010.0, 60011.0], "8": []}
TYPES = [101, 12, 0]


def write(folder, name="A", bands=("LSST-g", "r"), **changed):
    """A pair with a separating row behind each curve, as SNANA writes it."""
    rows, first, last = [], [], []
    for days in CURVES.values():
        first.append(len(rows) + 1)
        rows += [(day, bands[i % 2], 10.0 + i, 1.0) for i, day in enumerate(days)]
        last.append(len(rows))
        rows.append((-777.0, "-", -9.0, -9.0))
    mjd, band, flux, error = zip(*rows, strict=True)
    head = {
        "SNID": fits.Column("SNID", "16A", array=[f"{name:<8}" for name in CURVES]),
        "SNTYPE": fits.Column("SNTYPE", "J", array=TYPES),
        "PTROBS_MIN": fits.Column("PTROBS_MIN", "J", array=first),
        "PTROBS_MAX": fits.Column("PTROBS_MAX", "J", array=last),
        "MWEBV": fits.Column("MWEBV", "E", array=[0.5, 0.25, 0.125]),
        "HOSTGAL_PHOTOZ": fits.Column("HOSTGAL_PHOTOZ", "E", array=[0.5, -9.0, 0.25]),
        "SIM_TYPE_NAME": fits.Column("SIM_TYPE_NAME", "8A", array=["SNIa", "SNII", ""]),
    }
    photometry = {
        "MJD": fits.Column("MJD", "D", array=mjd),
        "BAND": fits.Column("BAND", "8A", array=band),
        "FLUXCAL": fits.Column("FLUXCAL", "E", array=flux),
        "FLUXCALERR": fits.Column("FLUXCALERR", "E", array=error),
    }
    for word, columns in (("HEAD", head), ("PHOT", photometry)):
        columns |= {key: column for key, column in changed.items() if key in columns}
        table = fits.BinTableHDU.from_columns([column for column in columns.values() if column is not None])
        table.writeto(folder / f"{name}_{word}.FITS", overwrite=True)


def read(folder, **settings):
    return pa.concat_tables(Snana(**settings).read(folder)).combine_chunks()


def test_pointers_types_redshifts_and_bands(tmp_path):
    write(tmp_path)
    table = read(tmp_path, classes={"1??": "Ia", "12": "II"})
    assert table["id"].to_pylist() == ["21", "SN7", "8"]
    assert table["label"].to_pylist() == ["Ia", "II", None]
    assert table["mjd"].to_pylist() == list(CURVES.values())
    assert table["flux"].to_pylist() == [[10, 11, 12], [10, 11], []]
    assert table["band"].to_pylist() == [[1, 2, 1], [1, 2], []]
    assert table["mwebv"].to_pylist() == [0.5, 0.25, 0.125]
    np.testing.assert_array_equal(table["photoz"].to_numpy(), np.float32([0.5, np.nan, 0.25]))
    assert read(tmp_path, label="SIM_TYPE_NAME")["label"].to_pylist() == ["SNIa", "SNII", None]


def test_blocks_gzip_and_a_file_of_its_own_give_the_same(tmp_path):
    write(tmp_path)
    whole = read(tmp_path).to_pandas()
    assert len(list(Snana(memory_gib=1e-7).read(tmp_path))) == 2
    for found in (read(tmp_path, memory_gib=1e-7), read(tmp_path / "A_HEAD.FITS")):
        pd.testing.assert_frame_equal(found.to_pandas(), whole)
    for file in list(tmp_path.glob("*.FITS")):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    pd.testing.assert_frame_equal(read(tmp_path).to_pandas(), whole)


def test_bands_of_another_system(tmp_path):
    write(tmp_path, bands=("c", "o"))
    assert read(tmp_path, bands={"c": 533.0, "o": 679.0})["band"][0].as_py() == [1, 2, 1]
    with pytest.raises(BadInput, match=r"A_PHOT\.FITS, row 0: band 'c' is not of lsst"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"PTROBS_MAX": fits.Column("PTROBS_MAX", "J", array=[3, 6, 99])}, "point outside the 8 rows of A_PHOT.FITS"),
        ({"PTROBS_MIN": fits.Column("PTROBS_MIN", "J", array=[0, 5, 8])}, "point outside"),
        ({"SNID": None}, r"A_HEAD\.FITS: missing column SNID"),
        ({"FLUXCAL": None}, r"A_PHOT\.FITS: missing column FLUXCAL"),
        ({"BAND": None, "MJD": None}, "missing column MJD, BAND or FLT"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, changed, said):
    write(tmp_path, **changed)
    with pytest.raises(BadInput, match=said) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_half_a_pair_a_cut_file_and_one_without_a_table_are_named(tmp_path):
    write(tmp_path)
    photometry = tmp_path / "A_PHOT.FITS"
    content = photometry.read_bytes()
    for kept in (3000, len(content) - 2800):
        photometry.write_bytes(content[:kept])
        with pytest.raises(BadInput, match=r"A_PHOT\.FITS: "):
            read(tmp_path)
    fits.PrimaryHDU().writeto(photometry, overwrite=True)
    with pytest.raises(BadInput, match=r"A_PHOT\.FITS: holds no table"):
        read(tmp_path)
    photometry.unlink()
    with pytest.raises(BadInput, match=r"A_PHOT\.FITS is missing beside it"):
        read(tmp_path)
