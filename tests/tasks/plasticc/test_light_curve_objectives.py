import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.objectives import (
    ClassificationHead,
    ClassificationLoss,
    InfoNCE,
    PairHead,
    flux_nll,
    masked_cross_entropy,
)


def test_cross_entropy_ignores_what_is_not_masked():
    logits = torch.randn(2, 5, 400)
    labels = torch.full((2, 5), -100)
    labels[0, 1], labels[1, 3] = 250, 17
    expected = -(logits[0, 1].log_softmax(0)[250] + logits[1, 3].log_softmax(0)[17]) / 2
    assert torch.allclose(masked_cross_entropy(logits, labels), expected)
    assert masked_cross_entropy(logits, torch.full((2, 5), -100)) == 0


@pytest.mark.parametrize(("distribution", "frozen"), [("gaussian", stats.norm()), ("student", stats.t(df=4))])
def test_flux_likelihood_is_that_of_scipy(distribution, frozen):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 6, 4, generator=generator)
    prediction = torch.randn(2, 6, 2, generator=generator)
    masked = torch.rand(2, 6, generator=generator) < 0.5
    target, log_err = features[masked][:, 0].numpy(), features[masked][:, 2].numpy()
    mean, log_scale = prediction[masked].numpy().T
    scale = np.sqrt(np.exp(2 * log_scale) + (np.exp(log_err) / np.cosh(target)) ** 2)
    expected = np.mean(np.log(scale) - frozen.logpdf((target - mean) / scale))
    assert flux_nll(prediction, features, masked, distribution).item() == pytest.approx(expected, rel=1e-5)


def test_noisy_observations_pull_less():
    features = torch.zeros(1, 2, 4)
    features[0, :, 2] = torch.tensor([-3.0, 2.0])
    prediction = torch.tensor([[[1.0, -3.0], [1.0, -3.0]]], requires_grad=True)
    flux_nll(prediction, features, torch.ones(1, 2, dtype=torch.bool), "gaussian").backward()
    pull = prediction.grad[0, :, 0]
    assert pull[0] > 100 * pull[1] > 0


def test_flux_likelihood_without_masks_is_zero_with_a_gradient():
    prediction = torch.randn(1, 3, 2, requires_grad=True)
    loss = flux_nll(prediction, torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and torch.isfinite(prediction.grad).all()
    with pytest.raises(BadInput, match="distribution"):
        flux_nll(prediction, torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool), "cauchy")


def test_head_gives_logits_not_probabilities():
    torch.manual_seed(0)
    logits = ClassificationHead(16, 5)(torch.randn(64, 16) * 10)
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(dim=1), torch.ones(64), atol=1e-2)


def test_head_can_reach_a_loss_that_a_double_softmax_cannot():
    torch.manual_seed(0)
    x, target = torch.eye(14), torch.arange(14)
    head = ClassificationHead(14, 14, dropout=0.0)
    loss_function = ClassificationLoss([1] * 14, "none")
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(200):
        loss = loss_function(head(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # softmax of probabilities can not get below -ln(e / (e + 13))
    assert loss < 0.05 < -math.log(math.e / (math.e + 13))


def test_head_starts_undecided():
    probability = ClassificationHead(512, 14).eval()(torch.randn(100, 512)).softmax(dim=1)
    assert probability.max() < 0.25


def test_pair_head_learns():
    torch.manual_seed(0)
    head, x = PairHead(8), torch.randn(40, 8)
    same = (x[:, 0] > 0).long()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    start = head.loss(x, same).item()
    for _ in range(100):
        optimizer.zero_grad()
        head.loss(x, same).backward()
        optimizer.step()
    assert start == pytest.approx(math.log(2), abs=0.05)
    assert head.loss(x, same) < 0.1


def test_contrast_prefers_matching_views():
    torch.manual_seed(0)
    loss, views = InfoNCE(8), torch.randn(16, 8)
    valid = torch.ones(16, dtype=torch.bool)
    assert loss(views, views, valid) < loss(views, views.roll(1, dims=0), valid)
    assert torch.allclose(loss(views, views.flip(0), valid), loss(views.flip(0), views, valid))


def test_contrast_leaves_out_objects_with_an_empty_view():
    torch.manual_seed(0)
    loss, a, b = InfoNCE(8), torch.randn(6, 8), torch.randn(6, 8)
    valid = torch.tensor([True, False, True, True, False, True])
    everything = torch.ones(4, dtype=torch.bool)
    assert torch.allclose(loss(a, b, valid), loss(a[valid], b[valid], everything))
    assert loss(a, b, ~(valid | ~valid)) == 0


def test_temperature_is_learned():
    loss = InfoNCE(8)
    loss(torch.randn(6, 8), torch.randn(6, 8), torch.ones(6, dtype=torch.bool)).backward()
    assert loss.log_temperature.grad.abs() > 0


def test_balanced_loss_weighs_classes_alike():
    counts = [90, 10]
    target = torch.tensor([0] * 90 + [1] * 10)
    logits = torch.randn(100, 2)
    per_object = functional.cross_entropy(logits, target, reduction="none")
    expected = (per_object[:90].mean() + per_object[90:].mean()) / 2
    assert torch.allclose(ClassificationLoss(counts, "balanced")(logits, target), expected, atol=1e-6)
    assert torch.allclose(ClassificationLoss(counts, "none")(logits, target), per_object.mean())


def test_logit_adjusted_loss_is_least_at_balanced_logits():
    loss = ClassificationLoss([90, 10], "logit_adjusted")
    target = torch.tensor([0] * 90 + [1] * 10)
    logits = torch.zeros(2, requires_grad=True)
    loss(logits.expand(100, 2), target).backward()
    assert torch.allclose(logits.grad, torch.zeros(2), atol=1e-6)


def test_class_counts_are_checked():
    with pytest.raises(BadInput, match="class 1 has no"):
        ClassificationLoss([3, 0, 2])
    with pytest.raises(BadInput, match="balance"):
        ClassificationLoss([3, 1], "focal")
