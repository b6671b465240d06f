import numpy as np
import torch
from scipy.stats import norm, rankdata

from astro_lightning.tasks.plasticc.tabular import NormalScores, TabularNetwork


def test_normal_scores_are_those_of_the_ranks():
    values = np.random.default_rng(0).exponential(size=(2000, 1)).astype(np.float32)
    scores = NormalScores(1)
    scores.fit(torch.from_numpy(values))
    found = scores(torch.from_numpy(values))[:, 0].numpy() * np.sqrt(2)
    expected = norm.ppf((rankdata(values) - 0.5) / 2000)
    middle = np.abs(expected) < 2
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.03)
    assert np.isfinite(scores(torch.tensor([[1e9], [-1e9]]))).all()


def test_shared_values_take_the_middle_of_their_ranks_and_missing_ones_a_flag():
    values = torch.tensor([0.0] * 50 + [1.0] * 50)[:, None]
    scores = NormalScores(1)
    scores.fit(values)
    found = scores(torch.tensor([[0.0], [1.0], [torch.nan]]))
    assert torch.allclose(found[0, 0], -found[1, 0], atol=0.02) and found[1, 0] > 0.4
    assert found[:, 1].tolist() == [0, 0, 1] and found[2, 0] == 0


def test_a_feature_that_is_always_missing_does_no_harm():
    features = torch.randn(30, 3)
    features[:, 1] = torch.nan
    network = TabularNetwork(3, 4)
    network.scores.fit(features)
    assert torch.isfinite(network({"features": features})).all()
