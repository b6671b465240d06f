import numpy as np
import pytest
import torch
from astropy.timeseries import LombScargle

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.periodograms import lomb_scargle as module
from astro_lightning.methods.periodograms.candidates import CANDIDATES, _peaks_with_multiples, candidate_periods
from astro_lightning.methods.periodograms.grid import FrequencyGrid, terrestrial
from astro_lightning.methods.periodograms.lomb_scargle import harmonic_sum, lomb_scargle
from astro_lightning.methods.periodograms.peaks import agreement, significance, top_peaks


def test_the_grid_holds_the_harmonics_of_its_entries():
    grid = FrequencyGrid.over(baseline_d=1000, max_per_day=10, oversample=5)
    frequency = grid.frequency_per_day
    assert frequency[-1] == pytest.approx(10, rel=1e-3)
    assert 3 * frequency[41] == pytest.approx(frequency[3 * 42 - 1])
    assert frequency[grid.first] == pytest.approx(2 / 1000)  # two cycles in the baseline


@pytest.mark.parametrize("fast", [True, False])
def test_lomb_scargle_equals_the_exact_periodogram(separate, fast, monkeypatch):
    if fast and module.nifty_ls is None:
        pytest.skip("nifty-ls is not installed: pip install nifty-ls")
    if not fast:
        monkeypatch.setattr(module, "nifty_ls", None)
    time, mag, err = separate[0]
    grid = FrequencyGrid.over(time[-1], max_per_day=4)
    power = lomb_scargle(time, mag, err, grid)
    exact = LombScargle(time, mag, err).power(grid.frequency_per_day, method="cython")
    inside = slice(grid.first, None)
    # astropy's own fast method is good to a few parts in a thousand only
    np.testing.assert_allclose(power[inside], exact[inside], atol=1e-6 if fast else 0.02)
    assert not power[: grid.first].any()


def test_lomb_scargle_takes_any_array_and_no_observation_that_empties_it(separate):
    time, mag, err = separate[0]
    grid = FrequencyGrid.over(time[-1], max_per_day=4)
    single = mag.astype(np.float32)
    power = lomb_scargle(time, single.astype(float), err, grid)
    for values in (single, single.tolist(), torch.from_numpy(single)):
        np.testing.assert_allclose(lomb_scargle(time, values, err, grid), power, atol=1e-9)
    # Each of these gave a periodogram of zeros.
    for wrong in ((time, np.where(time == time[3], np.nan, mag), err), (time, mag, np.where(time == time[3], 0, err))):
        with pytest.raises(BadInput, match=r"1 of .* \(first: number 3\)"):
            lomb_scargle(*wrong, grid)
    with pytest.raises(BadInput, match="shapes"):
        lomb_scargle(time, mag[1:], err, grid)


def test_harmonic_sums_add_the_power_at_multiples():
    power = np.random.default_rng(0).random(100)
    total = harmonic_sum(power, 3)
    assert len(total) == 33
    assert total[10] == pytest.approx(power[10] + power[21] + power[32])


def test_top_peaks_are_the_highest_and_apart():
    power = np.zeros(100)
    power[[10, 14, 40, 80]] = [1.0, 0.9, 0.5, 0.7]
    assert top_peaks(power, 3, separation=10).tolist() == [10, 80, 40]
    assert len(top_peaks(np.zeros(10), 3)) <= 3


def test_agreement_allows_harmonics_and_nothing_else():
    assert agreement(np.array([1.0, 2.0, 0.5, 3.0, 1.04]), np.ones(5)).all()
    assert not agreement(np.array([1.07, 0.4, 1.5]), np.ones(3)).any()


def test_significance_counts_standard_deviations():
    power = np.array([0.0, 2.0] * 50)
    assert significance(power, 6.0) == pytest.approx(5.0)


def test_terrestrial_zones():
    assert terrestrial(np.array([1.0, 2.0, 0.5])).all()
    assert not terrestrial(np.array([1.2, 3.3, 0.2])).any()


def test_candidates_hold_the_half_and_the_double_of_the_best_peak():
    power = np.zeros(600)
    power[99] = 1.0  # 100 times the spacing
    place = _peaks_with_multiples(power) + 1
    assert {50.0, 100.0, 200.0} <= set(place)
    assert len(place) == CANDIDATES


def test_candidates_hold_the_period_of_every_curve(curves, ragged):
    frequency, power, best = candidate_periods(curves, max_per_day=8)
    assert frequency.shape == (len(curves), CANDIDATES)
    assert power.shape[:2] == frequency.shape
    found = (frequency.numpy() * ragged[4][:, None] - 1).__abs__().min(1)
    assert (found < 1e-3).all()
    assert best[:, 1].min() > 0.5


def test_an_eclipsing_binary_is_found_at_its_own_period_by_the_sums():
    from astro_lightning.methods.periodograms.light_curves import LightCurves

    rng = np.random.default_rng(1)
    period = 2.713
    time = np.sort(rng.uniform(0, 1500, 300))
    phase = (time / period) % 1
    mag = 14 + 0.5 * np.exp(-(((phase - 0.25) / 0.03) ** 2)) + 0.3 * np.exp(-(((phase - 0.75) / 0.03) ** 2))
    mag += rng.normal(0, 0.02, 300)
    curve = LightCurves.from_ragged(time, mag, np.full(300, 0.02), np.array([0, 300]))
    frequency, _, _ = candidate_periods(curve)
    assert np.abs(frequency.numpy() * period - 1).min() < 1e-4


def test_the_nested_search_finds_the_periods(curves, ragged):
    from astro_lightning.methods.periodograms.nested import els_ece_eaov

    period, certainty = els_ece_eaov(curves[:3], max_per_day=6, oversample=5)
    np.testing.assert_allclose(period, ragged[4][:3], rtol=2e-3)
    assert (certainty > 1).all()


def test_the_nested_search_finds_by_entropy_what_the_best_sinusoid_misses(monkeypatch):
    from astro_lightning.methods.periodograms import nested
    from astro_lightning.methods.periodograms.light_curves import LightCurves

    rng = np.random.default_rng(1)
    period = 2.713
    time = np.sort(rng.uniform(0, 300, 400))
    phase = 2 * np.pi * time / period
    mag = 14 + 0.3 * np.cos(3 * phase) + 0.2 * np.cos(phase) + rng.normal(0, 0.005, 400)
    curve = LightCurves.from_ragged(time, mag, np.full(400, 0.005), np.array([0, 400]))
    grid = FrequencyGrid.over(time[-1] - time[0], max_per_day=4, oversample=5)
    best_sine = 1 / grid.frequency_per_day[lomb_scargle(time, mag, np.full(400, 0.005), grid).argmax()]
    assert best_sine == pytest.approx(period / 3, rel=2e-3)
    monkeypatch.setattr(nested, "PEAKS", 1)
    found, _ = nested.els_ece_eaov(curve, max_per_day=4, oversample=5)
    np.testing.assert_allclose(found, period, rtol=2e-3)
