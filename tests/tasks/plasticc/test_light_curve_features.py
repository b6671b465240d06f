import itertools

import numpy as np
import pytest

from astro_lightning.data.bands import wavelengths_nm
from astro_lightning.tasks.plasticc.extinction import LSST, deredden
from astro_lightning.tasks.plasticc.features import _structure_function, light_curve_features
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.process_features import TEMPERATURES_K, crossing_times, temperature
from astro_lightning.tasks.plasticc.pulse_fit import PulseFit, pulse

NM = wavelengths_nm("lsst")


def pulses(n=6, seed=0, peak=60100.0, rise=6.0, fall=35.0, size=200.0, noise=1.0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(40, 90, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    mjd = np.concatenate([np.sort(rng.uniform(60000, 60300, size)) for size in lengths])
    flux = size * pulse(mjd - peak, rise, fall) + rng.normal(0, noise, len(mjd))
    err = np.full(len(mjd), noise, np.float32)
    return LightCurves(mjd, rng.integers(0, 6, len(mjd)), flux.astype(np.float32), err, flux > 5, offsets)


def metadata(n, photoz=0.2):
    return {"photoz": np.full(n, photoz), "photoz_err": np.full(n, 0.02), "ddf": np.zeros(n)}


def test_the_pulse_fit_finds_time_shape_and_flux_of_a_pulse():
    curves = pulses()
    fit = PulseFit(curves, curves.flux_err.astype(float), 6)
    assert np.abs(fit.peak - 60100).max() < 5
    np.testing.assert_allclose(np.exp(fit.log_rise), 6, rtol=0.4)
    np.testing.assert_allclose(np.exp(fit.log_fall), 35, rtol=0.3)
    np.testing.assert_allclose(fit.amplitude[fit.amplitude_err < 1], 200, rtol=0.1)


def test_the_spread_of_a_narrow_pulse_is_its_own_and_not_what_rounding_leaves():
    curves = pulses(200, size=30)  # so far above the noise that one shape has nearly all of the weight of some
    together = PulseFit(curves, curves.flux_err.astype(float), 6)
    assert 0 < together.log_rise_sd.min() < 1e-6
    for i in range(0, 200, 20):
        one = curves.take(np.array([i]))
        alone = PulseFit(one, one.flux_err.astype(float), 6)
        np.testing.assert_allclose(alone.log_rise_sd[0], together.log_rise_sd[i], rtol=1e-13)
        np.testing.assert_allclose(alone.log_fall_sd[0], together.log_fall_sd[i], rtol=1e-13)


def test_a_pulse_is_one_at_its_maximum():
    phase = np.linspace(-50, 100, 3001)
    shape = pulse(phase, 4.0, 20.0)
    assert shape.max() == pytest.approx(1, abs=1e-6)
    assert abs(phase[shape.argmax()]) < 0.1


def test_features_of_an_object_depend_on_itself_alone_and_not_on_the_calendar():
    curves = pulses()
    together = light_curve_features(curves, metadata(6), NM)
    one = curves.take(np.array([3]))
    later = one.with_columns(mjd=one.mjd + 1000)
    alone, moved = (light_curve_features(c, metadata(1), NM) for c in (one, later))
    assert list(together) == list(alone)
    for name in together:
        np.testing.assert_allclose(together[name][3], alone[name][0], rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(moved[name][0], alone[name][0], rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_distant_copy_has_the_same_rest_frame_shape_and_is_more_luminous():
    near = pulses(1, size=500)
    stretch = 1.6 / 1.2
    far = near.with_columns(mjd=60100 + (near.mjd - 60100) * stretch)
    a, b = light_curve_features(near, metadata(1, 0.2), NM), light_curve_features(far, metadata(1, 0.6), NM)
    assert b["process_peak_absolute"][0] < a["process_peak_absolute"][0] - 2
    # the reference band moves with redshift, hence the tolerance
    assert b["process_fall_0.5"][0] == pytest.approx(a["process_fall_0.5"][0], rel=0.2)


def test_unknown_redshift_empty_curves_and_single_observations_give_nan_and_the_same_columns():
    curves = pulses(4)
    kept = np.ones(len(curves.mjd), bool)
    kept[: curves.offsets[1]] = False
    kept[curves.offsets[1] + 1 : curves.offsets[2]] = False
    table = light_curve_features(curves.keep(kept), metadata(4, np.nan), NM)
    empty = light_curve_features(curves.keep(np.zeros(len(kept), bool)), metadata(4), NM)
    assert list(table) == list(empty) == list(light_curve_features(curves, metadata(4), NM))
    assert np.isnan(table["process_peak_absolute"]).all() and np.isnan(table["pulse_absolute_g"]).all()
    assert np.isnan(table["process_time_scale"][0]) and np.isfinite(table["process_time_scale"][1:]).all()


def test_a_band_that_the_survey_lacks_has_no_columns():
    names = list(light_curve_features(pulses(1), metadata(1), np.where(np.arange(6) == 0, np.nan, NM)))
    assert names and not [name for name in names if name.endswith("_u") or "_ug" in name]


def test_extinction_is_taken_off():
    dusty = pulses(2)
    a, b = (
        light_curve_features(c, metadata(2), NM)["pulse_absolute_r"]
        for c in (deredden(dusty, np.full(2, 0.5), np.array(LSST)), dusty)
    )
    np.testing.assert_allclose(b - a, 2.273 * 0.5, atol=0.05)


def test_crossing_times_equal_a_search_by_hand():
    phases = np.arange(-20.0, 41, 2)
    rng = np.random.default_rng(1)
    curve = np.exp(-((phases / 12) ** 2)) + rng.normal(0, 0.05, (5, len(phases)))
    rise, fall = crossing_times(curve, 0.5, phases)
    for i in range(5):
        assert rise[i] == -max(p for p, f in zip(phases, curve[i], strict=True) if p < 0 and f < 0.5)
        assert fall[i] == min(p for p, f in zip(phases, curve[i], strict=True) if p > 0 and f < 0.5)
    assert np.isnan(crossing_times(np.ones((1, len(phases))), 0.5, phases)).all()


@pytest.mark.parametrize("kelvin", [5000.0, 9000.0, 20000.0])
def test_temperature_of_a_redshifted_black_body(kelvin):
    kelvin = TEMPERATURES_K[np.abs(TEMPERATURES_K - kelvin).argmin()]
    z = 0.3
    flux = 1e9 / NM**3 / np.expm1(1.4388e7 * (1 + z) / (NM * kelvin))
    mean, spread = temperature(flux[None, None], 0.02 * flux[None, None], NM, np.array([1 + z]))
    assert np.exp(mean[0, 0]) == pytest.approx(kelvin, rel=0.05)
    assert spread[0, 0] < 0.2


def test_structure_function_equals_a_loop():
    curves = pulses(3)
    error = curves.flux_err.astype(float)
    table = _structure_function(curves, error)
    for i in range(3):
        steps = []
        curve = curves.take(np.array([i]))
        for band in range(6):
            mine = np.flatnonzero(curve.band == band)
            for a, b in itertools.pairwise(mine):
                if 4 < curve.mjd[b] - curve.mjd[a] <= 12:
                    steps.append((float(curve.flux[b]) - float(curve.flux[a])) ** 2 - 2)
        total = (curve.flux.astype(float) ** 2 - 1).mean()
        expected = np.clip(np.mean(steps) / total, -5, 5) if len(steps) > 2 else np.nan
        assert table["steps_12"][i] == pytest.approx(expected, rel=1e-5, nan_ok=True)
