import numpy as np
import pytest
import torch

from astro_lightning.tasks.plasticc.gaussian_process import SYSTEMATIC, fit_processes
from astro_lightning.tasks.plasticc.light_curves import LightCurves

WAVELENGTH_NM = np.array([370.0, 480, 620, 750, 870, 970])


def curves(lengths, seed=0):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    mjd = np.concatenate([np.sort(rng.uniform(0, 200, size)) for size in lengths]) + 60000
    flux = 50 * np.exp(-(((mjd - 60080) / 30) ** 2)) + rng.normal(0, 2, n)
    return LightCurves(
        mjd, rng.integers(0, 6, n), flux.astype(np.float32), np.full(n, 2, np.float32), flux > 10, offsets
    )


def kernel(a, b):
    d = np.sqrt(3) * np.abs(a[:, None] - b)
    return (1 + d) * np.exp(-d)


def by_hand(curve, time_scale, amplitude, time, wavelength):
    """The textbook posterior of one light curve, with the inverse written out."""
    t = curve.mjd - curve.mjd[0]
    w = WAVELENGTH_NM[curve.band] / 600
    flux = curve.flux.astype(float)
    noise = np.diag(curve.flux_err.astype(float) ** 2 + (SYSTEMATIC * flux) ** 2)
    prior = amplitude**2 * kernel(t / time_scale, t / time_scale) * kernel(w, w)
    inverse = np.linalg.inv(prior + noise)
    cross = amplitude**2 * kernel(time / time_scale, t / time_scale) * kernel(wavelength / 600, w)
    likelihood = -0.5 * flux @ inverse @ flux - 0.5 * np.linalg.slogdet(prior + noise)[1]
    likelihood -= -0.5 * flux @ np.linalg.inv(noise) @ flux - 0.5 * np.linalg.slogdet(noise)[1]
    return cross @ inverse @ flux, np.sqrt(amplitude**2 - np.einsum("ij,jk,ik->i", cross, inverse, cross)), likelihood


def test_posterior_and_likelihood_equal_the_textbook_formula():
    batch = curves([12, 25, 40])
    time, wavelength = np.array([3.0, 60, 80, 130]), np.array([400.0, 500, 620, 900])
    found = 0
    for process in fit_processes(batch, WAVELENGTH_NM, [10.0, 40.0]):
        shape = (len(process.rows), 4)
        mean, std = process.mean_and_std(
            torch.from_numpy(time).expand(shape), torch.from_numpy(wavelength).expand(shape)
        )
        for i, row in enumerate(process.rows):
            curve = batch.take(np.array([row]))
            error = np.hypot(curve.flux_err, SYSTEMATIC * curve.flux)
            size = (np.abs(curve.flux) - 2 * error).max()
            table = np.array(
                [[by_hand(curve, s, a * size, time, wavelength)[2] for a in (0.2, 0.6)] for s in (10.0, 40.0)]
            )
            np.testing.assert_allclose(process.log_likelihood[i], table.max(1), rtol=1e-6)
            best = np.unravel_index(table.argmax(), table.shape)
            expected = by_hand(curve, (10.0, 40.0)[best[0]], (0.2, 0.6)[best[1]] * size, time, wavelength)
            np.testing.assert_allclose(mean[i], expected[0], rtol=1e-6)
            np.testing.assert_allclose(std[i], expected[1], rtol=1e-6)
            found += 1
    assert found == 3


def test_neighbours_in_the_batch_change_nothing():
    batch = curves([5, 30, 5])
    together = next(iter(fit_processes(batch, WAVELENGTH_NM, [20.0])))
    alone = next(iter(fit_processes(batch.take(np.array([0])), WAVELENGTH_NM, [20.0])))
    at = torch.tensor([[50.0, 80.0]], dtype=torch.float64), torch.tensor([[500.0, 700.0]], dtype=torch.float64)
    place = list(together.rows).index(0)
    shape = (len(together.rows), 2)
    np.testing.assert_allclose(together.mean(*(x.expand(shape) for x in at))[place], alone.mean(*at)[0])


def test_curves_without_observations_are_left_out():
    batch = curves([4, 6]).keep(np.array([False] * 4 + [True] * 6))
    rows = np.concatenate([process.rows for process in fit_processes(batch, WAVELENGTH_NM, [20.0])])
    assert rows.tolist() == [1]


@pytest.mark.parametrize("flux", [0.0, -3.0])
def test_a_curve_of_noise_alone_has_a_finite_posterior(flux):
    batch = curves([6]).with_columns(flux=np.full(6, flux))
    process = next(iter(fit_processes(batch, WAVELENGTH_NM, [20.0])))
    mean, std = process.mean_and_std(process.time, process.wavelength * 600)
    assert torch.isfinite(mean).all() and torch.isfinite(std).all()
