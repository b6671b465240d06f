"""Which tokens a pretraining batch hides.

Draw again for every batch: masks kept from one epoch to the next are learned by heart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from astro_lightning.tasks.plasticc.tokenizer_seed import FIRST_FLUX, LAST_FLUX, MASK

IGNORED = -100


def mask_tokens(
    batch: Mapping[str, torch.Tensor], rng: np.random.Generator, fraction: float = 0.15, max_masked: int = 50
) -> dict[str, torch.Tensor]:
    """Hide flux tokens as in BERT: 80% become MASK, 10% a random flux token, 10% stay.

    Args:
        batch: tokens of `batching`; special tokens and padding are never chosen.
        rng: chooses.
        fraction: share of an object's observations to predict; at least one of them.
        max_masked: most of them; the published runs use 10 for one band, 20 for pairs, 50 for all bands.

    Returns:
        The batch with new `tokens` and with `labels` (B, L) int64, -100 where nothing is to be predicted.
    """
    tokens = batch["tokens"].numpy()
    candidate = (batch["mask"] & ~batch["special"]).numpy()
    n_masked = np.clip(np.rint(fraction * candidate.sum(axis=1)), 1, max_masked)
    chosen = candidate & (_rank(np.where(candidate, rng.random(tokens.shape), 2.0)) < n_masked[:, None])
    how = rng.random(tokens.shape)
    hidden = np.where(chosen & (how < 0.8), MASK, tokens)
    random_flux = rng.integers(FIRST_FLUX, LAST_FLUX + 1, tokens.shape)
    hidden = np.where(chosen & (how >= 0.8) & (how < 0.9), random_flux, hidden)
    labels = np.where(chosen, tokens, IGNORED)
    return {**batch, "tokens": torch.from_numpy(hidden), "labels": torch.from_numpy(labels)}


def mask_blocks(
    batch: Mapping[str, torch.Tensor],
    rng: np.random.Generator,
    fraction: tuple[float, float] = (0.4, 0.6),
    block_length: float = 8.0,
    band_probability: float = 0.5,
) -> dict[str, torch.Tensor]:
    """Hide runs of consecutive observations and whole bands.

    Each object loses a share drawn evenly from `fraction`, exactly (to rounding), and keeps at least one observation.
    With `band_probability` one whole band goes first, chosen among those that fit into the share; blocks of random
    length make up the rest, the last of them cut short.

    Args:
        batch: tensors of `ContinuousTokenizer`.
        rng: chooses.
        fraction: smallest and largest share hidden.
        block_length: mean observations in a block.
        band_probability: share of objects that lose a whole band.

    Returns:
        The batch with `masked` (B, L) bool.
    """
    mask, band = batch["mask"].numpy(), batch["band"].numpy()
    n_objects = len(mask)
    n_seen = mask.sum(axis=1)
    share = rng.uniform(*fraction, n_objects)
    n_masked = np.clip(np.rint(share * n_seen), np.minimum(1, n_seen - 1), n_seen - 1)

    in_band = (band[..., None] == np.arange(band.max(initial=0) + 1)) & mask[..., None]
    count = in_band.sum(axis=1)
    fits = (count > 0) & (count <= n_masked[:, None])
    whole = np.where(fits, rng.random(fits.shape), -1.0).argmax(axis=1)
    use_band = fits.any(axis=1) & (rng.random(n_objects) < band_probability)
    in_whole_band = in_band[np.arange(n_objects), :, whole] & use_band[:, None]

    block = (rng.random(mask.shape) < 1 / block_length).cumsum(axis=1)
    order = np.take_along_axis(rng.random((n_objects, mask.shape[1] + 1)), block, axis=1)
    order = np.where(mask, np.where(in_whole_band, -1.0, order), 2.0)
    masked = mask & (_rank(order) < n_masked[:, None])
    return {**batch, "masked": torch.from_numpy(masked)}


def _rank(key: np.ndarray) -> np.ndarray:
    """Rank of each value within its row; equal values rank by place."""
    return np.argsort(np.argsort(key, axis=1, kind="stable"), axis=1)
