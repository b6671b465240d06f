import numpy as np
import pytest
import torch

from astro_lightning.tasks.plasticc.batching import all_bands, one_band
from astro_lightning.tasks.plasticc.masking import IGNORED, mask_blocks, mask_tokens
from astro_lightning.tasks.plasticc.tokenizer_continuous import ContinuousTokenizer
from astro_lightning.tasks.plasticc.tokenizer_seed import FIRST_FLUX, LAST_FLUX, MASK


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def tokens(make_curves):
    return all_bands(make_curves(np.full(300, 120)), rng())[0]


@pytest.fixture
def observations(make_curves):
    return ContinuousTokenizer(flux_scale=10.0)(make_curves(rng().integers(0, 150, 300)), {})


def test_token_masks(tokens):
    masked = mask_tokens(tokens, rng())
    chosen = masked["labels"] != IGNORED
    assert not (chosen & (tokens["special"] | ~tokens["mask"])).any()
    assert torch.equal(masked["labels"][chosen], tokens["tokens"][chosen])
    assert (chosen.sum(dim=1) == 18).all()
    assert torch.equal(masked["tokens"][~chosen], tokens["tokens"][~chosen])
    hidden = masked["tokens"][chosen]
    assert (hidden == MASK).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert (hidden == tokens["tokens"][chosen]).float().mean().item() == pytest.approx(0.1, abs=0.02)
    rest = hidden[hidden != MASK]
    assert rest.min() >= FIRST_FLUX and rest.max() <= LAST_FLUX


def test_token_masks_are_capped_and_never_empty(make_curves, tokens):
    assert ((mask_tokens(tokens, rng(), max_masked=10)["labels"] != IGNORED).sum(dim=1) == 10).all()
    few, _ = one_band(make_curves((1, 2, 0)), rng())
    assert (mask_tokens(few, rng())["labels"] != IGNORED).sum(dim=1).tolist() == [1, 1, 0]


def test_masks_are_drawn_anew_for_each_batch(tokens, observations):
    generator = rng()
    first, second = mask_tokens(tokens, generator)["labels"], mask_tokens(tokens, generator)["labels"]
    assert not torch.equal(first, second)
    assert torch.equal(first, mask_tokens(tokens, rng())["labels"])
    generator = rng()
    first, second = mask_blocks(observations, generator)["masked"], mask_blocks(observations, generator)["masked"]
    assert not torch.equal(first, second)
    assert torch.equal(first, mask_blocks(observations, rng())["masked"])


def test_masking_leaves_its_input_alone(tokens, observations):
    before = tokens["tokens"].clone()
    mask_tokens(tokens, rng())
    mask_blocks(observations, rng())
    assert torch.equal(tokens["tokens"], before)
    assert "labels" not in tokens and "masked" not in observations


def test_block_masks_hide_their_share(observations):
    masked = mask_blocks(observations, rng())["masked"]
    assert not (masked & ~observations["mask"]).any()
    seen, hidden = observations["mask"].sum(dim=1), masked.sum(dim=1)
    assert (hidden[seen > 0] < seen[seen > 0]).all()
    assert (hidden[seen > 1] > 0).all()
    share = (hidden / seen)[seen > 50]
    assert share.min() > 0.38 and share.max() < 0.62 and share.std() > 0.03


def test_blocks_are_contiguous_and_bands_whole(observations):
    seen = observations["mask"].sum(dim=1) > 60
    blocks = mask_blocks(observations, rng(), band_probability=0.0)["masked"][seen]
    runs = (blocks[:, 1:] & ~blocks[:, :-1]).sum() + blocks[:, 0].sum()
    assert blocks.sum() / runs > 8
    masked = mask_blocks(observations, rng(), band_probability=1.0)["masked"]
    assert torch.stack([whole(masked, observations, band) for band in range(6)]).any(dim=0)[seen].all()


def whole(masked, observations, band):
    of_band = (observations["band"] == band) & observations["mask"]
    return of_band.any(dim=1) & (masked | ~of_band).all(dim=1)
