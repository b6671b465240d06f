import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.spectra.simulate import CLASSES, GRID_A, Twin, simulate
from astro_lightning.tasks.spectra.templates import spectral_temperature, with_templates
from astro_lightning.tasks.spectra.unknown import DRAW, HELD_OUT, LEARNT


@pytest.fixture(scope="module")
def twin():
    return Twin()


def test_same_seed_same_spectra_other_seed_others():
    first, again, other = simulate(40, 3), simulate(40, 3), simulate(40, 4)
    for name in ("label", "flux", "ivar", "snr"):
        assert first[name].equals(again[name])
    assert not first["flux"].equals(other["flux"])


def test_records_have_what_a_survey_gives():
    table = simulate(60, 0)
    assert set(table["label"].to_pylist()) == set(CLASSES)
    flux = np.stack(table["flux"].to_numpy(zero_copy_only=False))
    ivar = np.stack(table["ivar"].to_numpy(zero_copy_only=False))
    assert flux.shape == ivar.shape == (60, 2600)
    assert np.isfinite(flux).all()
    assert (ivar >= 0).all()
    assert 0.6 < (ivar > 0).mean() < 1


def test_signal_to_noise_is_what_was_asked_for():
    flux, ivar, _, _ = Twin(min_snr=30, max_snr=30.01).draw(np.zeros(200, int), 1)
    good = ivar > 0
    noise = np.array([np.median(np.abs(np.diff(f[g]))) / 0.954 for f, g in zip(flux, good, strict=True)])
    level = np.array([np.median(np.abs(f[g])) for f, g in zip(flux, good, strict=True)])
    # Smoothed noise has small differences, so the estimate can only be high.
    assert np.quantile(level / noise, 0.2) > 12
    assert np.median(level * np.sqrt([np.median(i[g]) for i, g in zip(ivar, good, strict=True)])) == pytest.approx(
        30, rel=0.5
    )


def line_height(flux, z, rest_a, half_width_a=30):
    """Mean flux at a line over that beside it, per spectrum, NaN off the grid."""
    out = np.full(len(flux), np.nan)
    for i, centre in enumerate(rest_a * (1 + z)):
        near = np.abs(GRID_A - centre)
        if near.min() < 2 and 3900 < centre < 8900:
            beside = flux[i][(near > 2 * half_width_a) & (near < 4 * half_width_a)]
            out[i] = flux[i][near < half_width_a].mean() / np.median(beside)
    return out


def test_quasars_have_broad_lines_where_redshift_puts_them(twin):
    from astro_lightning.tasks.spectra.quasars import draw_quasars

    flux, z = draw_quasars(300, twin.library, GRID_A, np.random.default_rng(0))
    assert np.nanmedian(line_height(flux, z, 2799.1)) > 1.1
    assert np.nanmedian(line_height(flux, z, 1549.1)) > 1.2
    assert np.nanmedian(line_height(flux, z, 3300.0)) == pytest.approx(1, abs=0.05)


def test_galaxies_have_nebular_lines_and_stars_have_none(twin):
    from astro_lightning.tasks.spectra.galaxies import draw_galaxies
    from astro_lightning.tasks.spectra.stars import draw_stars

    flux, z = draw_galaxies(300, twin.library, GRID_A, np.random.default_rng(0))
    assert np.nanquantile(line_height(flux, z, 6564.6, 10), 0.8) > 1.5
    flux, z = draw_stars(300, twin.library, GRID_A, np.random.default_rng(0))
    assert np.nanmedian(line_height(flux, z, 6564.6, 10)) < 1.01
    assert np.abs(z).max() < 0.003


def test_stellar_lines_follow_temperature(twin):
    from astro_lightning.tasks.spectra.library import WAVELENGTH_A

    main = twin.library.rows("main")
    temperature, flux = twin.library.temperature[main], twin.library.flux[main]
    rest = np.interp(GRID_A, WAVELENGTH_A, np.arange(len(WAVELENGTH_A))).astype(int)
    depth = 1 - line_height(flux[:, rest], np.zeros(len(main)), 4862.7, 10)
    assert np.median(depth[(temperature > 8500) & (temperature < 10500)]) > 3 * np.median(depth[temperature < 5000])


def test_sky_fibres_are_noise_about_zero():
    flux, ivar, z, _ = Twin(kinds={"sky": 1}).draw(np.full(200, 3), 0)
    ratio = np.array([np.median(f[i > 0] * np.sqrt(i[i > 0])) for f, i in zip(flux, ivar, strict=True)])
    assert np.quantile(np.abs(ratio), 0.7) < 1
    assert np.isnan(z).all()


@pytest.mark.parametrize("kind", sorted(DRAW))
def test_every_unknown_kind_is_drawn_finite_and_seeded(kind):
    twin = Twin(kinds={kind: 1})
    flux, ivar, _, _ = twin.draw(np.full(30, 3), 4)
    again, _, _, _ = twin.draw(np.full(30, 3), 4)
    assert np.isfinite(flux).all()
    assert (flux[ivar == 0] == 0).all()
    np.testing.assert_array_equal(flux, again)


def test_kinds_kept_for_the_test_never_teach():
    assert not set(HELD_OUT) & set(LEARNT)
    assert set(HELD_OUT) | set(LEARNT) == set(DRAW)


def test_nebulae_have_lines_at_rest_and_supernovae_are_positive(twin):
    flux = DRAW["nebula"](50, twin.library, GRID_A, np.random.default_rng(0))
    assert np.median(line_height(flux, np.zeros(50), 5008.2, 10)) > 5
    flux = DRAW["supernova"](50, twin.library, GRID_A, np.random.default_rng(0))
    assert (flux > 0).mean() > 0.99


def test_spectral_types_to_temperatures():
    assert spectral_temperature("g2v") == pytest.approx(5800, rel=0.02)
    assert spectral_temperature("a0v") > spectral_temperature("f5iii") > spectral_temperature("m4v")
    assert np.isnan(spectral_temperature("index"))


def test_a_folder_without_templates_is_refused(twin, tmp_path):
    with pytest.raises(BadInput, match="no template spectra"):
        with_templates(twin.library, tmp_path)
