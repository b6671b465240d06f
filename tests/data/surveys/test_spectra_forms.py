import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.places import Places
from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.data.surveys.spectra_convert import convert_spectra
from astro_lightning.data.surveys.spectra_grid import WAVELENGTH_A, resample, spectra_table
from astro_lightning.tasks.spectra.scoring import spectra_metrics


def read(path, **options):
    return pa.concat_tables(list(Spectra().read(path, **options)))


def flux_of(table, row=0):
    return np.asarray(table["flux"][row].as_py(), np.float32)


def curve(wavelength_a):
    return 10 + np.sin(wavelength_a / 150) + 20 * np.exp(-0.5 * ((wavelength_a - 6000) / 15) ** 2)


def lamost_wave(n=3909):
    return 10 ** (3.5682 + 1e-4 * np.arange(n))


def lamost_header(**cards):
    header = fits.Header()
    header["TELESCOP"] = "LAMOST"
    usual = {"COEFF0": 3.5682, "COEFF1": 1e-4, "CLASS": "STAR", "SUBCLASS": "G2", "Z": 1e-4, "RA": 10.0, "DEC": 20.0}
    for key, value in {**usual, **cards}.items():
        header[key] = value
    return header


# ---- resampling


def test_resampling_conserves_flux_whatever_the_input_grid():
    for wave in (lamost_wave(), np.linspace(3700, 9100, 4000), np.linspace(3700, 9100, 1500)[::-1]):
        flux, ivar = resample(wave, curve(wave), np.ones_like(wave))
        np.testing.assert_allclose(flux.sum(), curve(WAVELENGTH_A).sum(), rtol=1e-4)
        assert np.abs(flux - curve(WAVELENGTH_A)).max() < 0.7
        assert (ivar > 0).all()


def test_variance_follows_the_number_of_pixels_in_a_bin():
    wave = np.arange(3700, 9100, 0.5)
    rng = np.random.default_rng(0)
    flux, ivar = resample(wave, rng.normal(0, 1, (300, len(wave))), np.ones((300, len(wave))))
    assert ivar.mean() == pytest.approx(4, rel=0.05)
    # Pixels that two bins share make both a little smoother than the inverse variance says.
    assert 0.9 < (flux * np.sqrt(ivar))[:, 5:-5].std() < 1.01


def test_bad_pixels_take_no_part_and_missing_ranges_are_nan():
    wave = np.arange(4500, 8000, 1.0)
    ivar = np.ones_like(wave)
    ivar[1000:1050] = 0
    flux = curve(wave)
    flux[1010] = 1e9
    out, weight = resample(wave, flux, ivar)
    assert np.isnan(out[WAVELENGTH_A < 4495]).all()
    assert np.isnan(out[WAVELENGTH_A > 8005]).all()
    inside = (WAVELENGTH_A > 5505) & (WAVELENGTH_A < 5545)
    assert (weight[inside] == 0).all()
    good = weight > 0
    assert np.abs(out[good] - curve(WAVELENGTH_A[good])).max() < 0.5


def test_a_bad_pixel_takes_no_part_in_a_bin_that_has_good_ones():
    wave = np.arange(3700, 9100, 0.5)
    flux, ivar = curve(wave), np.ones_like(wave)
    flux[::4], ivar[::4] = 1e9, 0
    out, weight = resample(wave, flux, ivar)
    assert (weight > 0).all() and np.abs(out - curve(WAVELENGTH_A)).max() < 0.5


# ---- LAMOST


def test_lamost_image_whose_third_row_is_not_wavelength(tmp_path):
    wave = lamost_wave(3904)
    rows = np.stack([curve(wave), np.ones_like(wave), np.ones_like(wave), 0 * wave, 0 * wave]).astype(">f4")
    fits.PrimaryHDU(rows, lamost_header(SN_G=30.0)).writeto(tmp_path / "spec-55862-B6212_sp06-003.fits")
    table = read(tmp_path)
    assert table["label"].to_pylist() == ["STAR"]
    assert table["id"].to_pylist() == ["spec-55862-B6212_sp06-003"]
    assert table["snr"][0].as_py() == pytest.approx(30)
    assert np.abs(flux_of(table) - curve(WAVELENGTH_A)).max() < 0.5


def test_lamost_coadd_table_gzipped_with_zero_wavelengths_and_lower_case(tmp_path):
    wave = lamost_wave()
    stored = wave.copy()
    stored[:10] = 0
    arrays = {"Flux": curve(wave), "ivar": np.ones_like(wave), "WAVELENGTH": stored}
    columns = [fits.Column(name, f"{len(wave)}E", array=[values]) for name, values in arrays.items()]
    header = lamost_header(CLASS="Unknown", SNRR=12.0)
    del header["COEFF0"]
    hdus = fits.HDUList([fits.PrimaryHDU(header=header), fits.BinTableHDU.from_columns(columns, name="COADD")])
    hdus.writeto(tmp_path / "a.fits")
    (tmp_path / "spec-60591-X_sp01-001.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    (tmp_path / "a.fits").unlink()
    table = read(tmp_path)
    assert table["label"].to_pylist() == ["UNKNOWN"]
    assert table["survey"].to_pylist() == ["LAMOST"]
    assert np.abs(flux_of(table) - curve(WAVELENGTH_A))[10:].max() < 0.5


# ---- SDSS


def sdss(path, facts="SPECOBJ", **known):
    wave = 10 ** (3.55 + 1e-4 * np.arange(4600))
    arrays = {"flux": curve(wave), "loglam": np.log10(wave), "ivar": np.full_like(wave, 4)}
    coadd = [fits.Column(name, "E", array=values) for name, values in arrays.items()]
    row = {"CLASS": ("6A", "QSO"), "SUBCLASS": ("12A", "BROADLINE"), "Z": ("E", 2.1), "ZWARNING": ("J", 4)}
    row |= {"SN_MEDIAN_ALL": ("E", 7.5), "PLUG_RA": ("D", 150.0), "PLUG_DEC": ("D", 2.0), "OBJTYPE": ("16A", "QSO")}
    row |= {"PLATE": ("J", 266), "FLUXES": ("5E", np.ones(5)), **known}
    columns = [fits.Column(name, form, array=[value]) for name, (form, value) in row.items()]
    tables = [fits.BinTableHDU.from_columns(c, name=n) for c, n in ((coadd, "COADD"), (columns, facts))]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)


def test_sdss_and_boss_with_either_table_of_facts(tmp_path):
    sdss(tmp_path / "spec-0266-51602-0031.fits")
    sdss(tmp_path / "spec-7102-56666-0082.fits", "SPALL", PLATE=("J", 7102), CLASS=("6A", "GALAXY"))
    table = read(tmp_path)
    assert table["id"].to_pylist() == ["266-51602-31", "7102-56666-82"]
    assert table["survey"].to_pylist() == ["SDSS", "BOSS"]
    assert table["label"].to_pylist() == ["QSO", "GALAXY"]
    assert table["zwarning"].to_pylist() == [4, 4]
    assert table["z"][0].as_py() == pytest.approx(2.1)
    assert np.abs(flux_of(table) - curve(WAVELENGTH_A)).max() < 0.5


def test_sky_fibres_are_labelled_sky_whatever_the_pipeline_thought(tmp_path):
    sdss(tmp_path / "spec-0266-51602-0032.fits", CLASS=("6A", "STAR"), OBJTYPE=("16A", "SKY"))
    assert read(tmp_path)["label"].to_pylist() == ["SKY"]


def test_labels_that_are_numbers_with_gaps_are_none_there(tmp_path):
    flux = pa.FixedSizeListArray.from_arrays(np.tile(curve(WAVELENGTH_A), 2).astype(np.float32), 2600)
    pq.write_table(pa.table({"id": ["a", "b"], "label": [1.0, np.nan], "flux": flux}), tmp_path / "s.parquet")
    assert read(tmp_path)["label"].to_pylist()[1] is None


# ---- the challenges


def test_tianchi_index_with_one_text_file_each(tmp_path):
    (tmp_path / "index.csv").write_text(
        "id,type\n011,star\n12,qso\n13,unknown\n"
    )  # a zero before a number is part of the name
    for i, name in enumerate(("011", "12", "13")):
        (tmp_path / f"{name}.txt").write_text(",".join(f"{v:.4f}" for v in curve(WAVELENGTH_A) + i))
    table = read(tmp_path)
    assert table["label"].to_pylist() == ["STAR", "QSO", "UNKNOWN"]
    np.testing.assert_allclose(flux_of(table, 1), curve(WAVELENGTH_A) + 1, atol=1e-3)


def test_tianchi_names_the_file_that_is_absent_or_short(tmp_path):
    (tmp_path / "index.csv").write_text("id,type\n11,star\n")
    with pytest.raises(BadInput, match=r"11\.txt"):
        read(tmp_path)
    (tmp_path / "11.txt").write_text("1,2,3")
    with pytest.raises(BadInput, match="3 numbers instead of 2600"):
        read(tmp_path)


def test_biendata_drops_repeated_headers(tmp_path):
    header = ",".join([*(f"FE{i}" for i in range(2600)), "id", "answer"])
    row = ",".join(f"{v:.4f}" for v in curve(WAVELENGTH_A))
    (tmp_path / "train.csv").write_text("\n".join([header, f"{row},a,galaxy", header, f"{row},b,star"]) + "\n")
    table = read(tmp_path)
    assert table["id"].to_pylist() == ["a", "b"]
    assert table["label"].to_pylist() == ["GALAXY", "STAR"]
    np.testing.assert_allclose(flux_of(table, 1), curve(WAVELENGTH_A), atol=1e-3)
    (tmp_path / "train.csv").unlink()
    with gzip.open(tmp_path / "train.csv.gz", "wt", encoding="utf-8-sig") as stream:  # as a spreadsheet writes it
        stream.write(f"{header}\n,{row.partition(',')[2]},a,galaxy\n")  # the first pixel is empty
    flux = flux_of(read(tmp_path))
    assert np.isnan(flux[0]) and np.isfinite(flux[1:]).all()


def test_china_vo_images_are_big_endian_on_3000_pixels(tmp_path):
    wave = np.linspace(3900, 9000, 3000)
    image = np.tile(curve(wave), (3, 1)).astype(">f4")
    facts = [fits.Column("objid", "J", array=[7, 8, 9]), fits.Column("label", "J", array=[0, 1, 2])]
    hdus = fits.HDUList([fits.PrimaryHDU(image), fits.BinTableHDU.from_columns(facts)])
    hdus.writeto(tmp_path / "train_data_01.fits")
    table = read(tmp_path)
    assert table["id"].to_pylist() == [7, 8, 9]
    assert table["label"].to_pylist() == ["GALAXY", "QSO", "STAR"]
    flux = flux_of(table)
    assert np.isnan(flux[WAVELENGTH_A < 3895]).all()
    assert np.abs(flux - curve(WAVELENGTH_A))[WAVELENGTH_A > 3905].max() < 0.5


def test_parquet_under_other_names_and_without_inverse_variance(tmp_path):
    flux = np.tile(curve(WAVELENGTH_A), (2, 1)).astype(np.float32)
    flux[1, :100] = np.nan
    lists = pa.FixedSizeListArray.from_arrays(flux.ravel(), 2600)
    columns = {"objid": ["x", "y"], "class": ["star", None], "group_id": [1, 1], "flux": lists}
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    table = read(tmp_path / "s.parquet")
    assert table["id"].to_pylist() == ["x", "y"]
    assert table["label"].to_pylist() == ["STAR", None]
    assert table["group"].to_pylist() == [1, 1]
    assert np.asarray(table["mask"][1].as_py()).sum() == 2500
    assert read(tmp_path / "s.parquet", part="labelled")["id"].to_pylist() == ["x"]


def test_signal_to_noise_is_not_made_up_where_errors_are_not_known(tmp_path):
    flux = np.tile(curve(WAVELENGTH_A), (3, 1)).astype(np.float32)
    lists = pa.FixedSizeListArray.from_arrays(flux.ravel(), 2600)
    known = {"id": [1, 2, 3], "label": ["STAR"] * 3, "flux": lists}
    pq.write_table(pa.table(known), tmp_path / "s.parquet")
    table = read(tmp_path / "s.parquet")
    assert np.isnan(table["snr"].to_numpy()).all()
    convert_spectra(tmp_path / "s.parquet", tmp_path / "again.parquet", progress=False)
    assert np.isnan(read(tmp_path / "again.parquet")["snr"].to_numpy()).all()
    pq.write_table(pa.table(known | {"ivar": lists}), tmp_path / "with_errors.parquet")
    assert (read(tmp_path / "with_errors.parquet")["snr"].to_numpy() > 10).all()
    tested = table.select(["label", "snr"]).append_column("prob_STAR", pa.array([0.9] * 3))
    assert spectra_metrics(tested.append_column("prob_QSO", pa.array([0.1] * 3)), ["STAR", "QSO"])["n"] == 3


def test_spectra_of_one_place_are_one_object_wherever_the_place_lies():
    places = Places()
    first = places.name(10.00049, -20.0)
    assert places.name(10.00051, -20.0) == first  # .07 arcsec away
    assert places.name(10.0005, -20.0008) == first  # 2.9 arcsec away
    assert places.name(10.0005, -20.001) != first
    assert places.name(359.99999, 89.9999) == places.name(0.00001, 89.9999) != places.name(180.0, 89.999)


def test_converted_records_read_back_unchanged(tmp_path):
    flux = np.tile(curve(WAVELENGTH_A), (3, 1)).astype(np.float32)
    table = spectra_table(flux, np.ones_like(flux), {"id": ["a", "b", "c"], "label": ["STAR", "QSO", "SKY"]})
    pq.write_table(table, tmp_path / "s.parquet")
    again = read(tmp_path / "s.parquet")
    for name in ("id", "label", "flux", "ivar", "mask", "snr"):
        assert again[name].to_pylist() == table[name].to_pylist()


def test_scaled_integers_are_read_at_their_scale_in_images_and_tables(tmp_path):
    wave = lamost_wave()
    image = np.stack([curve(wave), np.full_like(wave, 9), wave, np.zeros_like(wave), np.zeros_like(wave)])
    unit = fits.PrimaryHDU(image.copy(), header=lamost_header())
    unit.scale("int32", bscale=1e-3, bzero=100.0)
    unit.writeto(tmp_path / "spec-1.fits")
    sdss(tmp_path / "spec-0266-51602-0031.fits")
    with fits.open(tmp_path / "spec-0266-51602-0031.fits") as units:
        coadd = units[1].data
        flux = fits.Column("flux", "J", array=np.round((coadd["flux"] - 50) / 1e-3).astype(int), bscale=1.0)
        columns = [flux, *(fits.Column(name, "E", array=coadd[name]) for name in ("loglam", "ivar"))]
        fits.HDUList([units[0], fits.BinTableHDU.from_columns(columns), units[2]]).writeto(tmp_path / "spec-2.fits")
    fits.setval(tmp_path / "spec-2.fits", "TSCAL1", value=1e-3, ext=1)
    fits.setval(tmp_path / "spec-2.fits", "TZERO1", value=50.0, ext=1)
    for name in ("spec-1.fits", "spec-2.fits"):
        table = read(tmp_path / name)
        assert np.abs(flux_of(table) - curve(WAVELENGTH_A)).max() < 0.5
        assert table["ivar"][0].as_py()[5] > 0


def test_gzip_is_told_by_its_first_bytes(tmp_path):
    name = "spec-0266-51602-0031.fits"
    sdss(tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    (tmp_path / f"{name}.gz").write_bytes(raw)
    (tmp_path / name).write_bytes(gzip.compress(raw))
    assert read(tmp_path)["id"].to_pylist() == ["266-51602-31"] * 2
