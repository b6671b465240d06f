import numpy as np
import pytest
import torch

from astro_lightning.methods.periodograms.drift import DRIFT, drift
from astro_lightning.methods.periodograms.harmonics import fit_harmonics, refine
from astro_lightning.methods.periodograms.light_curves import LightCurves


def matrix(time, f, terms, trend):
    columns = [np.ones_like(time)] + ([time / time.max()] if trend else [])
    for k in range(1, terms + 1):
        columns += [np.cos(2 * np.pi * k * f * time), np.sin(2 * np.pi * k * f * time)]
    return np.stack(columns, 1)


@pytest.mark.parametrize("trend", [False, True])
def test_every_model_size_equals_its_own_least_squares(curves, separate, trend):
    frequency = torch.tensor([[0.3, 1.9], [0.7, 2.2], [4.1, 0.9], [0.05, 1.1]], dtype=torch.float64)
    fits = fit_harmonics(curves, frequency, 5, trend=trend)
    for row, (time, mag, err) in enumerate(separate):
        mean = np.average(mag, weights=err**-2)
        for column, f in enumerate(frequency[row].tolist()):
            for terms in range(6):
                design = matrix(time, f, terms, trend) / err[:, None]
                solution, chi2, _, _ = np.linalg.lstsq(design, (mag - mean) / err, rcond=None)
                assert fits.chi2[row, column, terms].item() == pytest.approx(chi2[0], rel=1e-6)
                got = fits.coefficients(terms)[row, column].numpy()
                np.testing.assert_allclose(got[: len(solution)], solution, atol=1e-5)
                assert not got[len(solution) :].any()


def test_refining_finds_the_optimum_of_a_fine_grid(curves, ragged):
    true = torch.from_numpy(1 / ragged[4])[:, None]
    start = true + torch.tensor([-0.2, 0.15]) / curves.baseline_d[:, None]
    found = refine(curves, start)
    grid = true + torch.linspace(-0.3, 0.3, 2001, dtype=torch.float64) / curves.baseline_d[:, None]
    best = grid.gather(1, fit_harmonics(curves, grid, 2).chi2[..., -1].argmin(1, keepdim=True))
    assert ((found - best).abs() * curves.baseline_d[:, None]).max() < 1e-3


def test_refining_never_makes_a_fit_worse(curves):
    start = torch.rand(len(curves), 40, dtype=torch.float64) * 5 + 0.01
    before = fit_harmonics(curves, start, 2).chi2[..., -1]
    after = fit_harmonics(curves, refine(curves, start), 2).chi2[..., -1]
    assert (after <= before * (1 + 1e-9)).all()


def test_a_drifting_level_and_a_changing_amplitude_are_told_apart():
    rng = np.random.default_rng(0)
    time, period = np.sort(rng.uniform(0, 1000, 300)), 2.7
    x, wave = time / 500 - 1, np.cos(2 * np.pi * time / period)
    kinds = (0.3 * wave, 0.3 * wave + 0.2 * x**2, 0.3 * (1 + 0.6 * x) * wave)
    mag = np.concatenate([15 + kind + rng.normal(0, 0.02, 300) for kind in kinds])
    all_three = LightCurves.from_ragged(np.tile(time, 3), mag, np.full(900, 0.02), np.arange(4) * 300)
    found = dict(zip(DRIFT, drift(all_three, torch.full((3,), 1 / period, dtype=torch.float64)).T.numpy()))
    assert (found["level_drift"] > 0.8).tolist() == [False, True, False]
    assert (found["wave_drift"] > 0.8).tolist() == [False, False, True]
    assert found["log_level_drift_f"].argmax() == 1 and found["log_wave_drift_f"].argmax() == 2
    assert max(found["log_level_drift_f"][0], found["log_wave_drift_f"][0]) < 1
