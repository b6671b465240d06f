import numpy as np
import pytest

from astro_lightning.tasks.plasticc.augment import (
    Augment,
    degrade,
    drop_season,
    end_early,
    jitter_extinction,
    jitter_photoz,
    truncate,
)
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.redshift_shift import draw_redshift, luminosity_distance, shift_redshift
from astro_lightning.tasks.plasticc.tokenizer_continuous import LSST_WAVELENGTH_NM


def rng(seed=0):
    return np.random.default_rng(seed)


def supernovae(redshift, n_epochs=120, flux_err=1e-3):
    """One black-body flash for each redshift: peak at day 0, 15 rest-frame days wide, seen in all bands at once."""
    redshift = np.asarray(redshift)
    days = np.linspace(-60, 90, n_epochs)
    band = np.tile(np.arange(6), n_epochs)
    time = np.repeat(days, 6)
    wavelength = np.asarray(LSST_WAVELENGTH_NM)[band]
    flux = []
    for z in redshift:
        rest_nm = wavelength / (1 + z)
        spectrum = rest_nm**-3.0 / np.expm1(14388e3 / (rest_nm * 9000))
        shape = np.exp(-0.5 * (time / (1 + z) / 15) ** 2)
        flux.append(1e16 * shape * spectrum * (1 + z) / luminosity_distance(np.array(z)) ** 2)
    n = len(time)
    flux = np.concatenate(flux)
    return LightCurves(
        mjd=np.tile(60000.0 + time, len(redshift)),
        band=np.tile(band, len(redshift)).astype(np.int8),
        flux=flux.astype(np.float32),
        flux_err=np.full(len(flux), flux_err * flux.max(), dtype=np.float32),
        detected=np.ones(len(flux), dtype=bool),
        offsets=np.arange(len(redshift) + 1) * n,
    )


def test_moved_source_looks_like_one_that_was_born_there():
    z, new_z = np.array([0.3]), np.array([0.4])
    moved, which = shift_redshift(supernovae(z, flux_err=1e-6), z, new_z, rng(), LSST_WAVELENGTH_NM)
    born = supernovae(new_z)
    assert which.all()
    for band in range(1, 6):
        there = np.interp(moved.mjd[moved.band == band], born.mjd[born.band == band], born.flux[born.band == band])
        assert np.abs(moved.flux[moved.band == band] - there).max() < 0.06 * there.max()


def test_time_is_dilated_about_the_peak():
    curves = supernovae([0.5])
    moved, _ = shift_redshift(curves, np.array([0.5]), np.array([1.0]), rng(), LSST_WAVELENGTH_NM)
    peak = curves.mjd_of_highest_snr()[0]
    assert np.allclose(moved.mjd - peak, (curves.mjd - peak) * 2 / 1.5)
    assert (np.diff(moved.mjd) >= 0).all()


def test_noise_never_falls_below_the_survey():
    curves = supernovae([0.2], flux_err=0.01)
    fainter, _ = shift_redshift(curves, np.array([0.2]), np.array([0.5]), rng(), LSST_WAVELENGTH_NM)
    assert (fainter.flux_err >= curves.flux_err * 0.999).all()
    quiet, _ = shift_redshift(
        supernovae([0.2], flux_err=1e-9), np.array([0.2]), np.array([0.5]), rng(), LSST_WAVELENGTH_NM
    )
    pull = (fainter.flux - quiet.flux) / fainter.flux_err
    assert 0.85 < pull.std() < 1.1
    assert fainter.detected.mean() < 1


def test_galactic_and_unknown_objects_stay(make_curves):
    curves = make_curves((20, 20, 20))
    redshift = np.array([0.0, np.nan, 0.4])
    moved, which = shift_redshift(curves, redshift, redshift * 1.2, rng(), LSST_WAVELENGTH_NM)
    assert which.tolist() == [False, False, True]
    assert moved.lengths[:2].tolist() == [20, 20]
    assert (moved.flux[:40] == curves.flux[:40]).all() and (moved.mjd[:40] == curves.mjd[:40]).all()


def test_gaps_are_not_bridged():
    curves = supernovae([0.3])
    gap = (curves.mjd > 59990) & (curves.mjd < 60010) & (curves.band < 5)
    moved, _ = shift_redshift(
        curves.keep(~gap | (curves.band == 0)),
        np.array([0.3]),
        np.array([0.8]),
        rng(),
        LSST_WAVELENGTH_NM,
        max_gap_days=2.0,
    )
    u_band = moved.mjd[moved.band == 1]
    assert moved.lengths[0] < curves.lengths[0]
    assert np.diff(u_band).max() > 10


def test_drawn_redshifts_stay_in_the_published_range():
    z = np.tile([0.05, 0.5, 2.0], 500)
    new = draw_redshift(z, rng())
    assert (new >= 0.95 * z - 1e-12).all()
    assert (new <= np.minimum(5 * z, 1.4 * (1 + z) - 1) + 1e-12).all()
    assert (draw_redshift(z, rng(), 0.0) == z).all()
    spread = [np.log(draw_redshift(z, rng(), s) / z).std() for s in (0.3, 1.0)]
    assert spread[0] < spread[1]
    assert np.isnan(draw_redshift(np.array([np.nan]), rng())).all()


def seasons(n_objects=200):
    days = np.concatenate([start + np.arange(20.0) for start in (0, 200, 400)])
    snr = np.tile(np.where(np.arange(60) == 25, 50.0, 1.0), n_objects)
    n = n_objects * 60
    return LightCurves(
        np.tile(60000 + days, n_objects),
        np.zeros(n, np.int8),
        snr.astype(np.float32),
        np.ones(n, np.float32),
        snr > 5,
        np.arange(n_objects + 1) * 60,
    )


def test_season_drop_takes_whole_seasons_but_the_brightest():
    curves = seasons()
    dropped = drop_season(curves, rng(), 1.0)
    assert set(dropped.lengths) == {40, 60}
    assert dropped.detected.sum() == 200
    first_seasons = {float(dropped.mjd[offset]) for offset in dropped.offsets[:-1]}
    assert first_seasons == {60000.0, 60200.0}
    assert drop_season(curves, rng(), 0.3).lengths.mean() == pytest.approx(60 - 20 * 0.3 * 2 / 3, abs=1.5)


def test_truncation_keeps_the_past():
    curves = seasons()
    cut = truncate(curves, rng(), 1.0)
    assert cut.detected.sum() == 200
    assert (cut.lengths >= 26).all() and len(set(cut.lengths)) > 10
    assert (cut.mjd[: cut.lengths[0]] == curves.mjd[: cut.lengths[0]]).all()
    assert (truncate(curves, rng(), 0.0).lengths == 60).all()


def test_degraded_noise_matches_its_errors(make_curves):
    curves = make_curves((5000,))
    worse = degrade(curves, rng(), 2.0)
    factor = worse.flux_err / curves.flux_err
    assert np.ptp(factor) < 1e-5 and 1 < factor[0] < 3
    added = (worse.flux - curves.flux) / np.sqrt(worse.flux_err**2 - curves.flux_err**2)
    assert added.std() == pytest.approx(1, abs=0.05)
    assert worse.detected.sum() < curves.detected.sum()


def test_extinction_reddens(make_curves):
    curves = make_curves((2000,))
    mwebv = np.array([0.5])
    changed = jitter_extinction(curves, mwebv, rng(), 0.2, np.array([4.0, 3.0, 2.0, 1.5, 1.2, 1.0]))
    ratio = [np.median((changed.flux / curves.flux)[curves.band == band]) for band in range(6)]
    assert (np.diff(np.log(ratio)) > 0).all() or (np.diff(np.log(ratio)) < 0).all()
    assert np.allclose(changed.snr, curves.snr, rtol=1e-4)
    same = jitter_extinction(curves, np.array([np.nan]), rng(), 0.2, np.array([4.0, 3.0, 2.0, 1.5, 1.2, 1.0]))
    assert (same.flux == curves.flux).all()


def test_photoz_jitter_keeps_zero_and_unknown():
    photoz, err = np.array([0.0, np.nan, 0.5, 0.5]), np.array([0.1, 0.1, np.nan, 0.1])
    new = jitter_photoz(photoz, err, rng(), 1.0)
    assert new[0] == 0 and np.isnan(new[1]) and new[2] == 0.5 and new[3] != 0.5
    many = jitter_photoz(np.full(5000, 2.0), np.full(5000, 0.1), rng(), 0.5)
    assert many.std() == pytest.approx(0.05, rel=0.05)


STRONG = {"redshift": 1.0, "season": 0.5, "truncate": 0.5, "degrade": 1.0, "extinction": 0.1, "photoz": 1.0}


def test_everything_together_is_repeatable_and_well_formed(make_curves):
    lengths = rng().integers(0, 200, 60)
    curves = make_curves(lengths)
    metadata = {"photoz": rng().uniform(0, 2, 60), "photoz_err": np.full(60, 0.1), "mwebv": np.full(60, 0.05)}
    metadata["photoz"][:10] = np.nan
    new, new_metadata = Augment(**STRONG)(curves, metadata, rng(5))
    again, _ = Augment(**STRONG)(curves, metadata, rng(5))
    assert (new.flux == again.flux).all()
    assert len(new) == 60 and new.offsets[-1] == len(new.mjd) == len(new.flux)
    assert np.isfinite(new.flux).all() and (new.flux_err > 0).all()
    assert (new.mjd.dtype, new.flux.dtype, new.band.dtype) == (np.float64, np.float32, np.int8)
    assert (np.diff(new.mjd)[np.diff(new.owner) == 0] >= 0).all()
    assert np.isnan(new_metadata["photoz"][:10]).all()
    assert (new_metadata["photoz"][10:] != metadata["photoz"][10:]).all()
    assert (new.lengths[lengths > 0] > 0).all()


@pytest.mark.parametrize("column", ["photoz", "specz"])
def test_all_redshifts_of_a_moved_object_move_by_one_factor(column):
    known = {"photoz": np.full(40, 0.4), "photoz_err": np.full(40, 0.1), "specz": np.full(40, 0.5)}
    _, new = Augment(redshift=1.0, redshift_column=column)(supernovae(known[column], n_epochs=20), known, rng())
    stretch = (1 + new[column]) / (1 + known[column])
    assert 10 < (stretch != 1).sum() < 30
    np.testing.assert_allclose(1 + new["photoz"], 1.4 * stretch)
    # An error of 0.1 at 1 + z = 1.4 is a larger one further away.
    np.testing.assert_allclose(new["photoz_err"], 0.1 * stretch)
    if column == "photoz":
        assert (new["specz"] == 0.5).all()


def test_no_strength_changes_nothing(make_curves):
    curves = make_curves()
    metadata = {"photoz": np.full(4, 0.5)}
    new, new_metadata = Augment()(curves, metadata, rng())
    assert new is curves and new_metadata == metadata


@pytest.mark.parametrize("step", STRONG)
def test_each_step_works_without_metadata(make_curves, step):
    new, _ = Augment(**{step: 1.0})(make_curves((40, 0, 60)), {}, rng())
    assert len(new) == 3


def test_copies_end_at_all_times_after_the_first_detection(make_curves):
    whole = make_curves((200,) * 400)
    ended = end_early(whole, np.random.default_rng(0))
    first = whole.mjd_of_first_detection()
    np.testing.assert_array_equal(ended.mjd_of_first_detection(), first)
    days = np.array([part.max() for part in np.split(ended.mjd, ended.offsets[1:-1])]) - first
    assert (days >= 0).all()
    # Evenly in the logarithm of some thousand days: about half of them within a month.
    assert 0.3 < np.mean(days < 30) < 0.7
