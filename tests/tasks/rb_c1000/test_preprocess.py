import numpy as np
import pytest
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.rb_c1000.networks import StampNetwork
from astro_lightning.tasks.rb_c1000.preprocess import CHOICES, preprocess, turn
from astro_lightning.tasks.rb_c1000.simulate import simulate
from astro_lightning.tasks.rb_c1000.stamp_features import N_STAMP_FEATURES, stamp_features
from astro_lightning.tasks.rb_c1000.vgg6 import Vgg6


def awkward() -> np.ndarray:
    stamps = np.random.default_rng(0).normal(100, 10, (4, 3, 63, 63)).astype(np.float32)
    stamps[0, 2], stamps[1, :, :, :20], stamps[2, 0, 5, 5], stamps[3] = np.nan, np.nan, 3e10, 0
    return stamps


@pytest.mark.parametrize("choice", CHOICES)
def test_awkward_stamps_become_finite(choice):
    x = preprocess(awkward(), choice)
    assert x.shape == (4, 3, 63, 63) and x.dtype == np.float32 and np.isfinite(x).all()
    if choice != "none":
        assert np.abs(x).max() < 20


def test_robust_scale_does_not_see_gain_offset_or_one_bad_pixel():
    stamps = np.random.default_rng(0).normal(100, 10, (2, 3, 63, 63)).astype(np.float32)
    changed = 7 * stamps + 500
    np.testing.assert_allclose(preprocess(stamps), preprocess(changed), atol=2e-3)
    changed[0, 0, 3, 3] = 1e10
    np.testing.assert_allclose(preprocess(stamps)[0, 0, 20:], preprocess(changed)[0, 0, 20:], atol=5e-3)


def test_sides():
    assert preprocess(awkward(), side_px=21).shape[-1] == 21
    assert preprocess(awkward(), side_px=224).shape[-1] == 224
    with pytest.raises(BadInput):
        preprocess(awkward(), side_px=100)
    with pytest.raises(BadInput):
        preprocess(awkward(), "published")


def test_turns_are_the_eight_of_a_square():
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    found = {tuple(turn(x, k // 2, bool(k % 2)).flatten().tolist()) for k in range(8)}
    assert len(found) == 8


def test_stamp_features_are_finite_and_follow_the_light():
    assert np.isfinite(stamp_features(awkward())).all()
    table = simulate(200, 0)
    features = stamp_features(table["stamp"].combine_chunks().flatten().to_numpy().reshape(-1, 3, 63, 63))
    assert features.shape == (200, N_STAMP_FEATURES)
    real = np.array(table["label"].to_pylist()) == "real"
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score

    trees = ExtraTreesClassifier(100, random_state=0).fit(features[:120], real[:120])
    assert roc_auc_score(real[120:], trees.predict_proba(features[120:])[:, 1]) > 0.95


def test_networks_have_the_published_sizes():
    assert sum(p.numel() for p in Vgg6(1).parameters()) == 312_081
    assert sum(p.numel() for p in StampNetwork(2).parameters()) == 11_177_538


def test_what_is_left_is_measured_against_the_light_of_the_science_image():
    y, x = np.mgrid[:63, :63] - 31
    star = np.exp(-0.5 * (x**2 + y**2) / 4)
    stamps = np.random.default_rng(0).normal(0, 0.1, (2, 3, 63, 63))
    stamps += np.array([[1000, 0, 250], [1000, 4000, 250]])[..., None, None] * star
    np.testing.assert_allclose(stamp_features(stamps.astype(np.float32))[:, -1], 0.25, rtol=0.01)
