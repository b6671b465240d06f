import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.spectra.blackbody import HC_OVER_K_NM, WAVELENGTH_NM, fit_planck, fit_wien, wien_curve
from astro_lightning.tasks.spectra.inputs import Rebin, network_input
from astro_lightning.tasks.spectra.losses import SpectraLoss, soft_macro_f1
from astro_lightning.tasks.spectra.normalise import add_white_noise, bridged, clip_outliers, normalise, smooth


def wien(temperature_k):
    curve = WAVELENGTH_NM[None] ** -5 * np.exp(
        -HC_OVER_K_NM / WAVELENGTH_NM[None] / np.atleast_1d(temperature_k)[:, None]
    )
    return (curve / curve.max(1, keepdims=True)).astype(np.float32)


def planck(temperature_k):
    curve = WAVELENGTH_NM[None] ** -5 / np.expm1(
        HC_OVER_K_NM / WAVELENGTH_NM[None] / np.atleast_1d(temperature_k)[:, None]
    )
    return (curve / np.median(curve, axis=1, keepdims=True)).astype(np.float32)


@given(st.floats(2500, 40000), st.floats(1e-3, 1e3))
def test_wien_fit_is_exact_on_wien_curves(temperature_k, scale):
    flux = scale * wien(temperature_k)
    fit = fit_wien(flux, np.ones(flux.shape, bool))
    assert fit.temperature_k[0] == pytest.approx(temperature_k, rel=1e-4)
    assert fit.r2[0] > 0.9999
    np.testing.assert_allclose(wien_curve(fit), flux, rtol=5e-3)


def test_wien_fit_is_biased_low_on_hot_planck_curves():
    temperature = np.array([4000, 6000, 10000, 15000, 30000])
    flux = planck(temperature)
    ratio = fit_wien(flux, np.ones(flux.shape, bool)).temperature_k / temperature
    np.testing.assert_allclose(ratio, [0.997, 0.981, 0.912, 0.806, 0.561], atol=0.002)


def test_planck_fit_is_within_5_percent_at_signal_to_noise_20():
    temperature = np.repeat([4000, 6000, 8000, 11000, 15000], 40)
    flux = planck(temperature)
    flux += np.random.default_rng(0).normal(0, 1 / 20, flux.shape).astype(np.float32)
    fit = fit_planck(flux, np.ones(flux.shape, bool))
    assert np.abs(fit.temperature_k / temperature - 1).max() < 0.05


def test_fits_ignore_masked_pixels_and_survive_empty_spectra():
    flux = wien([8000, 8000])
    mask = np.ones(flux.shape, bool)
    flux[0, 100:200] = 50
    mask[0, 100:200] = False
    mask[1] = False
    fit = fit_wien(flux, mask)
    assert fit.temperature_k[0] == pytest.approx(8000, rel=1e-3)
    assert np.isnan(fit.temperature_k[1])
    assert np.isfinite(fit.features()).all()


@pytest.mark.parametrize(
    ("kind", "statistic"),
    [
        ("unit", lambda x: np.sqrt((x**2).sum())),
        ("mean", np.mean),
        ("median", np.median),
        ("max", np.max),
        ("zscore", np.std),
    ],
)
def test_normalisations_make_their_statistic_one(kind, statistic):
    rng = np.random.default_rng(0)
    flux, mask = rng.gamma(2, 3, (5, 400)).astype(np.float32), rng.random((5, 400)) < 0.9
    flux[~mask] = 1e6
    for row, used in zip(normalise(flux, mask, kind), mask, strict=True):
        assert statistic(row[used]) == pytest.approx(1, rel=1e-4)
        assert (row[~used] == 0).all()


def test_normalising_nothing_gives_zeros_and_unknown_kinds_are_refused():
    assert (normalise(np.ones((1, 5), np.float32), np.zeros((1, 5), bool), "median") == 0).all()
    with pytest.raises(BadInput, match="choose one of"):
        normalise(np.ones((1, 5), np.float32), np.ones((1, 5), bool), "none")


def test_savitzky_golay_keeps_cubics_and_lowers_noise():
    x = np.linspace(-1, 1, 300)
    cubic = (2 * x**3 - x)[None].astype(np.float32)
    np.testing.assert_allclose(smooth(cubic)[:, 5:-5], cubic[:, 5:-5], atol=1e-5)
    noise = np.random.default_rng(0).normal(0, 1, (1, 3000)).astype(np.float32)
    assert smooth(noise).std() < 0.7


def test_clipping_removes_spikes_and_leaves_broad_lines():
    x = np.arange(2600)
    flux = (1 + 3 * np.exp(-0.5 * ((x - 900) / 60) ** 2))[None].astype(np.float32)
    flux = flux + np.random.default_rng(0).normal(0, 0.02, flux.shape).astype(np.float32)
    spiky = flux.copy()
    spiky[0, 1500] = 30
    clipped = clip_outliers(spiky, np.ones(flux.shape, bool))
    assert clipped[0, 1500] == pytest.approx(1, abs=0.1)
    assert np.abs(clipped[0, 700:1100] - flux[0, 700:1100]).max() < 0.2


def test_white_noise_goes_to_the_chosen_classes():
    flux = np.tile(np.linspace(0, 1, 500, dtype=np.float32), (400, 1))
    label = np.arange(400) % 3
    mask = np.ones(flux.shape, bool)
    noisy = add_white_noise(flux, mask, label, {1: 0.5, 2: 1.0}, np.random.default_rng(0))
    changed = (noisy != flux).any(1)
    assert not changed[label == 0].any()
    assert 0.3 < changed[label == 1].mean() < 0.7
    assert changed[label == 2].all()
    assert (noisy - flux)[label == 2].std() == pytest.approx(0.2 * flux[0].std(), rel=0.05)
    flux[:, 400:], mask[:, 400:] = 100, False
    noisy = add_white_noise(flux, mask, label, {2: 1.0}, np.random.default_rng(0))
    assert (noisy - flux)[label == 2].std() == pytest.approx(0.2 * flux[0, :400].std(), rel=0.05)


def test_filters_draw_nothing_out_of_gaps_whatever_the_unit():
    rng = np.random.default_rng(0)
    flux = rng.normal(100, 2, (2, 2600)).astype(np.float32)
    flux[:, 2000] = 1000
    mask = np.ones(flux.shape, bool)
    mask[:, :400] = mask[:, 1000:1040] = False
    mask[1] &= np.arange(2600) < 2500
    for unit in (1, 1e-17):
        filled = bridged(np.where(mask, flux * np.float32(unit), 0), mask)
        assert np.isfinite(filled).all() and (filled / unit > 90).all()
        clipped = clip_outliers(filled, mask) / unit
        np.testing.assert_allclose(clipped[:, 990:1000], flux[:, 990:1000], rtol=1e-5)
        assert (clipped[:, 2000] < 110).all()
        edges = smooth(clip_outliers(filled, mask))[:, [400, 402, 999, 1040]] / unit
        np.testing.assert_allclose(edges, 100, atol=8)
    assert not bridged(np.zeros((1, 9), np.float32), np.zeros((1, 9), bool)).any()


def test_rebinning_keeps_constants_and_ignores_bad_pixels():
    flux, ivar = torch.full((1, 2600), 3.0), torch.ones(1, 2600)
    flux[0, 1000:1010], ivar[0, 1000:1010] = 1e9, 0
    for log in (True, False):
        mean, covered = Rebin(1300, log)(flux, ivar)
        assert torch.allclose(mean[covered > 0], torch.tensor(3.0))
        assert (covered == 0).sum() in (2, 3, 4, 5)


def test_redshift_is_a_translation_of_the_logarithmic_input():
    wavelength = torch.arange(2600) * 2.0 + 3800
    step = np.log(8999 / 3799) / 1300
    lines = [1 + 5 * torch.exp(-0.5 * ((wavelength / (5000 * np.exp(k * step)) - 1) / 0.004) ** 2) for k in (0, 200)]
    x = network_input(torch.stack(lines), torch.ones(2, 2600), Rebin())
    assert x[1, 0].argmax() - x[0, 0].argmax() == 200
    centre = int(x[0, 0].argmax())
    assert torch.allclose(x[0, 0, centre - 30 : centre + 30], x[1, 0, centre + 170 : centre + 230], atol=0.05)


def test_input_does_not_depend_on_the_unit_of_flux():
    flux = torch.rand(2, 2600) + 1
    ivar = torch.ones(2, 2600)
    scaled = network_input(flux * 1e-17, ivar * 1e30, Rebin())
    assert torch.allclose(network_input(flux, ivar, Rebin()), scaled, atol=1e-3)


@pytest.mark.parametrize("flux", [torch.zeros(1, 2600), torch.full((1, 2600), torch.nan), torch.ones(1, 2600) * 1e30])
def test_input_is_finite_whatever_comes(flux):
    for ivar in (torch.zeros(1, 2600), torch.ones(1, 2600)):
        assert torch.isfinite(network_input(flux, ivar, Rebin())).all()


def test_soft_f1_falls_with_agreement():
    target = torch.tensor([0, 1, 2, 2])
    right = torch.nn.functional.one_hot(target, 3).float() * 10
    assert soft_macro_f1(right, target) < 0.01 < soft_macro_f1(torch.zeros(4, 3), target)


@pytest.mark.parametrize("kind", ["cross_entropy", "weighted", "soft_f1"])
def test_losses_reward_the_truth_and_ignore_missing_labels(kind):
    loss = SpectraLoss([10, 10, 1], kind)
    target = torch.tensor([0, 1, 2, 3, -1])
    right = torch.nn.functional.one_hot(target.clamp(0, 2), 3).float() * 6
    unknown = torch.where(target == 3, 5.0, -5.0)
    assert loss(right, unknown, target) < loss(right, -unknown, target)
    assert loss(right, unknown, target) < loss(-right, unknown, target)
    other = right.clone()
    other[3:] = 100
    assert loss(other, unknown, target) == loss(right, unknown, target)


def test_weighted_loss_weighs_small_classes_more():
    wrong = torch.tensor([[0.0, 0, 0]])
    by_class = [
        SpectraLoss([100, 100, 1], "weighted", 0.0, 0.0)(wrong.repeat(2, 1), torch.zeros(2), torch.tensor([c, 0]))
        for c in (0, 2)
    ]
    assert by_class[0] == pytest.approx(by_class[1].item())  # equal logits: weighting only shifts the mean
    sharp = torch.tensor([[3.0, 0, 0], [3.0, 0, 0]])
    assert SpectraLoss([100, 100, 1], "weighted", 0.0, 0.0)(sharp, torch.zeros(2), torch.tensor([0, 2])) > SpectraLoss(
        [100, 100, 1], "cross_entropy", 0.0, 0.0
    )(sharp, torch.zeros(2), torch.tensor([0, 2]))


def test_noisy_pixels_of_a_bin_weigh_less():
    flux, ivar = torch.ones(1, 2600), torch.ones(1, 2600)
    flux[0, 1::2], ivar[0, 1::2] = 3, 0.25
    mean, covered = Rebin(1300, log=False)(flux, ivar)
    assert torch.allclose(mean[covered > 0], torch.tensor((1 + 0.25 * 3) / 1.25), atol=1e-4)
    clean = torch.linspace(1, 3, 2600)[None]
    dirty, ivar[0, 1::2] = clean.clone(), 1e-6
    dirty[0, 1::2] += 1
    seen = [network_input(flux, ivar, Rebin()) for flux in (clean, dirty)]
    assert torch.allclose(seen[0][:, 0], seen[1][:, 0], atol=0.02)
