import itertools

import numpy as np
import pytest
import torch

from astro_lightning.tasks.rb_vae_rnn.heads import HEADS, _segment_softmax, _thinned
from astro_lightning.tasks.rb_vae_rnn.module import tversky_loss

FRAMES = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32))
FEATURES = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32))


@pytest.mark.parametrize("name", HEADS)
def test_an_objects_score_does_not_depend_on_its_neighbours_in_the_batch(name):
    torch.manual_seed(0)
    head = HEADS[name](n_inputs=6, n_classes=2, n_features=4).eval()
    offsets = torch.tensor([0, 5, 45, 60])
    with torch.no_grad():
        together = head({"frames": FRAMES, "offsets": offsets, "features": FEATURES})
        for i in range(3):
            a, b = int(offsets[i]), int(offsets[i + 1])
            alone = head({"frames": FRAMES[a:b], "offsets": torch.tensor([0, b - a]), "features": FEATURES[i : i + 1]})
            torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "features"])
def test_a_changed_frame_changes_the_score_and_gradients_flow(name):
    torch.manual_seed(0)
    head = HEADS[name](n_inputs=6, n_classes=2).eval()
    frames = FRAMES.clone().requires_grad_()
    head({"frames": frames, "offsets": torch.tensor([0, 20, 60])})[0].sum().backward()
    assert (frames.grad[:20].abs().sum(1) > 0).all()
    assert frames.grad[20:].abs().max() == 0


def test_attention_of_each_object_sums_to_one():
    offsets = torch.tensor([0, 1, 30, 60])
    weights = _segment_softmax(1e3 * FRAMES, offsets)
    sums = torch.stack([weights[a:b].sum(0) for a, b in itertools.pairwise(offsets)])
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_tversky_loss_gains_nothing_by_giving_all_objects_one_class():
    target = torch.tensor([0, 1]).repeat(200)
    right = 20.0 * torch.nn.functional.one_hot(target, 2)
    one_class = torch.tensor([20.0, 0.0]).expand(400, 2)
    assert tversky_loss(right, target) < 1e-4
    torch.testing.assert_close(tversky_loss(right.flip(0), target.flip(0)), tversky_loss(right, target))
    assert tversky_loss(one_class, target) > 0.65 > 0.51 > tversky_loss(torch.zeros(400, 2), target)
    # More weight for false positives makes a wrong class dearer than a missed one, in either class alike.
    torch.testing.assert_close(tversky_loss(one_class, target, 0.9), tversky_loss(one_class.flip(1), target, 0.9))


def test_weights_of_the_tversky_loss_are_of_false_positives_first():
    target, one_class = torch.tensor([0, 0, 0, 1]), torch.tensor([50.0, 0.0]).expand(4, 2)
    index = (3 + 1) / (3 + 0.9 * 1 + 1), (0 + 1) / (0 + 0.1 * 1 + 1)
    torch.testing.assert_close(tversky_loss(one_class, target, 0.9), torch.tensor(1 - sum(index) / 2))


def test_a_long_sequence_is_thinned_evenly_from_its_first_frame_to_its_last():
    frames = torch.cat([torch.arange(101.0), 1000 + torch.arange(3.0)])[:, None]
    kept, offsets, phase = _thinned(frames, torch.tensor([0, 101, 104]), 5)
    assert kept[:, 0].tolist() == [0, 25, 50, 75, 100, 1000, 1001, 1002] and offsets.tolist() == [0, 5, 8]
    assert phase.tolist() == [0, 0.25, 0.5, 0.75, 1, 0, 0.5, 1]
