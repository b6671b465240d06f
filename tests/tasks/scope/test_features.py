import numpy as np
import pytest
import torch

from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.tasks.scope.dmdt import DM_EDGES_MAG, DT_EDGES_D, dmdt
from astro_lightning.tasks.scope.features import PERIODIC, WIDTHS, aperiodic, periodic
from astro_lightning.tasks.scope.fourier import FOURIER, fourier_features


def test_dmdt_equals_a_histogram_of_all_pairs(curves, separate):
    images = dmdt(curves).numpy()
    for row, (time, mag, _) in enumerate(separate):
        first, second = np.triu_indices(len(time), 1)
        dt = (time[second] - time[first]).astype(np.float32)
        dm = mag.astype(np.float32)[second] - mag.astype(np.float32)[first]
        count, _, _ = np.histogram2d(dm, dt, bins=(np.float32(DM_EDGES_MAG), np.float32(DT_EDGES_D)))
        np.testing.assert_allclose(images[row], count / np.linalg.norm(count), atol=1e-6)


def test_dmdt_edges_belong_to_the_bin_above():
    time = np.array([0.0, 2.5, 2.5])
    mag = np.array([15.0, 15.5, 15.5])
    image = dmdt(LightCurves.from_ragged(time, mag, np.ones(3), np.array([0, 3])))[0]
    of_dm = {0.5: DM_EDGES_MAG.index(0.5), 0.0: DM_EDGES_MAG.index(0)}
    assert image[of_dm[0.5], DT_EDGES_D.index(2.5)] == pytest.approx(2 / 5**0.5)
    assert image[of_dm[0.0], 0] == pytest.approx(1 / 5**0.5)


def test_dmdt_of_a_single_point_is_empty():
    assert not dmdt(LightCurves.from_ragged(np.zeros(1), np.zeros(1), np.ones(1), np.array([0, 1]))).any()


def explicit_fourier(time, mag, err, period):
    best = None
    for terms in range(6):
        columns = [np.ones_like(time), time]
        for k in range(1, terms + 1):
            columns += [np.cos(2 * np.pi * k * time / period), np.sin(2 * np.pi * k * time / period)]
        design = np.stack(columns, 1)
        solution = np.linalg.lstsq(design / err[:, None], mag / err, rcond=None)[0]
        chi2 = (((mag - design @ solution) / err) ** 2).sum()
        if terms == 0:
            chi2_line = chi2
        bic = chi2 + np.log(len(time)) * (2 + 2 * terms)
        if best is None or bic < best[0]:
            best = bic, terms, solution, chi2
    bic, terms, solution, chi2 = best
    values = dict.fromkeys(FOURIER, 0.0) | {"f1_power": 1 - chi2 / chi2_line, "f1_BIC": bic}
    values |= {"f1_a": solution[0], "f1_b": solution[1]}
    amp = [np.hypot(solution[2 * k], solution[2 * k + 1]) for k in range(1, terms + 1)]
    phi = [np.arctan2(solution[2 * k], solution[2 * k + 1]) for k in range(1, terms + 1)]
    if terms:
        values |= {"f1_amp": amp[0], "f1_phi0": phi[0]}
    for k in range(2, terms + 1):
        values[f"f1_relamp{k - 1}"] = amp[k - 1] / amp[0]
        values[f"f1_relphi{k - 1}"] = ((phi[k - 1] / k - phi[0]) / (2 * np.pi / k)) % 1
    return values


def test_fourier_features_equal_separate_fits(curves, separate, ragged):
    got = fourier_features(curves, torch.from_numpy(ragged[4])).numpy()
    for row, (time, mag, err) in enumerate(separate):
        want = explicit_fourier(time, mag, err, ragged[4][row])
        for column, name in enumerate(FOURIER):
            distance = got[row, column] - want[name]
            if "relphi" in name:
                distance = (distance + 0.5) % 1 - 0.5
            assert abs(distance) < 1e-4 * max(1, abs(want[name])), (row, name)


def test_no_period_explains_a_constant_star():
    constant = LightCurves.from_ragged(np.arange(20.0), np.full(20, 15.0), np.full(20, 0.05), np.array([0, 20]))
    value = dict(zip(FOURIER, fourier_features(constant, torch.tensor([3.3], dtype=torch.float64))[0].tolist()))
    assert value["f1_power"] == 0 and value["f1_a"] == pytest.approx(15)


def test_periodic_features_follow_the_highest_score(curves, ragged):
    found = aperiodic(curves, max_per_day=8)
    assert {name: values.shape[1] for name, values in found.items()} == WIDTHS
    distance = (found["frequency"] * torch.from_numpy(ragged[4])[:, None] - 1).abs()
    features = periodic(curves, found, -distance)
    assert features.shape == (len(curves), len(PERIODIC))
    assert features.isfinite().all()
    np.testing.assert_allclose(10 ** features[:, PERIODIC.index("log_period")].numpy(), ragged[4], rtol=1e-3)
    assert (features[:, PERIODIC.index("left_r2")] < 0.5).all()
    # A peak is found by several sums of harmonics: the second choice is another period, not the first one once more.
    assert (features[:, PERIODIC.index("second_choice_log_ratio")].abs() > np.log10(1.01)).all()


def test_a_wave_of_two_unlike_halves_is_fitted_at_twice_the_best_sines_period():
    rng = np.random.default_rng(5)
    time, period = np.sort(rng.uniform(0, 1000, 200)), 0.8
    phase = 2 * np.pi * time / period
    mag = 15 + 0.3 * np.cos(2 * phase) + 0.15 * np.cos(phase) + rng.normal(0, 0.01, 200)
    curve = LightCurves.from_ragged(time, mag, np.full(200, 0.01), np.array([0, 200]))
    found = aperiodic(curve, max_per_day=4)
    assert 1 / found["best_sine"][0, 0] == pytest.approx(period / 2, rel=1e-4)
    value = dict(zip(PERIODIC, periodic(curve, found, -(found["frequency"] * period - 1).abs())[0].tolist()))
    assert value["sine_r2"] == pytest.approx(0.8, abs=0.05)
    assert value["double_sine_r2"] > 0.99
    np.testing.assert_allclose([value["double_sine_share_1"], value["double_sine_share_2"]], [0.2, 0.8], atol=0.02)


def test_a_double_mode_star_has_its_second_mode_in_the_residuals():
    rng = np.random.default_rng(2)
    time = np.sort(rng.uniform(0, 2000, 250))
    fundamental, overtone = 0.48, 0.48 * 0.7445
    mag = 15 + 0.2 * np.sin(2 * np.pi * time / overtone) + 0.12 * np.sin(2 * np.pi * time / fundamental)
    mag += rng.normal(0, 0.03, 250)
    curve = LightCurves.from_ragged(time, mag, np.full(250, 0.03), np.array([0, 250]))
    found = aperiodic(curve)
    features = periodic(curve, found, -(found["frequency"] * overtone - 1).abs())[0]
    value = dict(zip(PERIODIC, features.tolist()))
    assert value["fundamental_power"] > 0.6
    assert value["overtone_power"] < 0.3
    assert 10 ** value["second_over_first"] == pytest.approx(0.7445, rel=1e-3)


def test_two_eclipses_a_turn_are_told_from_one_wave():
    from astro_lightning.methods.periodograms.double_wave import DOUBLE_WAVE, double_wave

    rng = np.random.default_rng(4)
    time = np.sort(rng.uniform(0, 2000, 250))
    period = 0.4
    phase = 2 * np.pi * time / period
    eclipses = 0.3 * np.cos(2 * phase) + 0.09 * np.cos(4 * phase) + 0.05 * np.cos(phase)
    wave = 0.3 * np.cos(2 * phase)
    noise = rng.normal(0, 0.03, (2, 250))
    noise[:, 7] = 3.0  # an outlier
    mag = 15 + np.concatenate([eclipses + noise[0], wave + noise[1]])
    both = LightCurves.from_ragged(np.tile(time, 2), mag, np.full(500, 0.03), np.array([0, 250, 500]))
    value = dict(zip(DOUBLE_WAVE, double_wave(both, torch.full((2,), 2 / period, dtype=torch.float64)).T))
    np.testing.assert_allclose(value["amplitude"], [0.3, 0.3], atol=0.01)
    np.testing.assert_allclose(value["sharpness"], [0.3, 0.0], atol=0.04)
    np.testing.assert_allclose(value["unequal_dips"], [0.167, 0.0], atol=0.04)
    assert (value["outliers"] > 0).all()
