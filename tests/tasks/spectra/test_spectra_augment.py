"""What augmentation does to a spectrum, and what it leaves alone."""

import numpy as np
import pytest

from astro_lightning.data.records import Records
from astro_lightning.tasks.spectra.augment import Augment
from astro_lightning.tasks.spectra.simulate import simulate


def test_augmentation_keeps_the_mask_honest_and_moves_lines():
    table = simulate(60, 5, fractions=(0, 0, 1, 0), min_snr=40)
    records = Records.from_table(table)
    flux, ivar = records.fixed["flux"].copy(), records.fixed["ivar"].copy()
    z = records.column("z").astype(np.float32)
    everything = Augment(tilt=1, resolution=1, cutout=1, redshift=1, noise=1)
    new_flux, new_ivar = everything(flux.copy(), ivar.copy(), z, np.ones(60, bool), np.random.default_rng(0))
    assert np.isfinite(new_flux).all()
    assert (new_flux[new_ivar == 0] == 0).all()
    assert ((new_ivar > 0).sum(1) > 400).all()
    stay = Augment(tilt=0, resolution=0, cutout=0, redshift=0, noise=0)
    same_flux, same_ivar = stay(flux.copy(), ivar.copy(), z, np.ones(60, bool), np.random.default_rng(0))
    np.testing.assert_array_equal(same_flux[ivar > 0], flux[ivar > 0])
    np.testing.assert_array_equal(same_ivar, ivar)


def test_noise_augmentation_lowers_the_signal_to_noise_ratio():
    table = simulate(100, 6, fractions=(1, 0, 0, 0), min_snr=40)
    records = Records.from_table(table)
    flux, ivar = records.fixed["flux"].copy(), records.fixed["ivar"].copy()
    augment = Augment(tilt=0, resolution=0, cutout=0, redshift=0, noise=1)
    new_flux, new_ivar = augment(
        flux.copy(), ivar.copy(), np.zeros(100, np.float32), np.zeros(100, bool), np.random.default_rng(0)
    )

    def ratio(f, i):
        return np.array([np.median(np.abs(a[b > 0]) * np.sqrt(b[b > 0])) for a, b in zip(f, i, strict=True)])

    assert (ratio(new_flux, new_ivar) < ratio(flux, ivar) * 1.1).all()
    assert np.quantile(ratio(new_flux, new_ivar), 0.1) < 6


def test_smoothing_draws_nothing_out_of_gaps():
    flux, ivar = np.full((3, 2600), 5, np.float32), np.ones((3, 2600), np.float32)
    flux[:, 700:900], ivar[:, 700:900] = 0, 0
    blurred = Augment(tilt=0, resolution=1, cutout=0, redshift=0, noise=0)
    new_flux, new_ivar = blurred(flux, ivar, np.zeros(3, np.float32), np.zeros(3, bool), np.random.default_rng(0))
    np.testing.assert_allclose(new_flux[new_ivar > 0], 5, rtol=1e-3)


def test_a_near_galaxy_is_moved_both_ways_but_never_below_the_nearest():
    z = np.full(200, 0.02, np.float32)
    wavelength = 3800 + 2 * np.arange(2600)
    line = 1 + 50 * np.exp(-0.5 * ((wavelength - 6000 * 1.02) / 6) ** 2)
    flux = np.tile(line.astype(np.float32), (200, 1))
    moved = Augment(tilt=0, resolution=0, cutout=0, redshift=1, noise=0)
    new_flux, _ = moved(flux, np.ones_like(flux), z, np.ones(200, bool), np.random.default_rng(0))
    new_z = wavelength[new_flux.argmax(1)] / 6000 - 1
    assert new_z.min() == pytest.approx(0.004, abs=1e-3) and 0.1 < new_z.max() < 0.19
