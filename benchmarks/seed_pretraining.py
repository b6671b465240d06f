"""The published pretraining of light curves as a plain program: what this task's speed is compared with.

Batches of six bands joined and padded to 450 tokens, objects one by one in Python; a post-norm BERT whose attention forms the whole
matrix and drops some of it; cross-entropy over 400 tokens at 15% hidden places, at most 50. No pair loss: six bands joined have
none in the published form.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.tokenizer_seed import CLS, MASK, N_OUTPUT_TOKENS, N_TOKENS, SEP, flux_tokens

LENGTH, OF_BAND, N_BANDS, MOST_HIDDEN, N_DAYS = 450, 72, 6, 50, 1200
Batch = dict[str, Tensor]


def batch_of(curves: LightCurves, rng: np.random.Generator) -> Batch:
    """`[CLS] b0 [SEP] .. b5 [SEP]` in random band order, hidden tokens, their places and ids; (B, 450) and (B, 50) int64."""
    parts = {name: [] for name in ("tokens", "band", "day", "place", "label")}  # type: dict[str, list[list[int]]]
    for i in range(len(curves)):
        span = slice(curves.offsets[i], curves.offsets[i + 1])
        mjd, band, flux = curves.mjd[span], curves.band[span], curves.flux[span]
        tokens, bands, days = [CLS], [0], [0]
        for b in rng.permutation(N_BANDS):
            inside = np.flatnonzero(band == b)[:OF_BAND]
            tokens += [*flux_tokens(flux[inside]).tolist(), SEP]
            bands += [int(b)] * (len(inside) + 1)
            days += [*np.clip(mjd[inside] - curves.mjd.min(), 0, N_DAYS - 1).astype(int).tolist(), 0]
        candidates = [j for j, token in enumerate(tokens) if token not in (CLS, SEP)]
        n = min(MOST_HIDDEN, max(1, round(0.15 * len(candidates))))
        places = sorted(rng.permutation(candidates)[:n].tolist())
        labels = [tokens[j] for j in places]
        for j in places:
            chance = rng.random()
            tokens[j] = MASK if chance < 0.8 else int(rng.integers(3, 400)) if chance < 0.9 else tokens[j]
        for name, values, length, fill in (
            ("tokens", tokens, LENGTH, 0),
            ("band", bands, LENGTH, 0),
            ("day", days, LENGTH, 0),
            ("place", places, MOST_HIDDEN, 0),
            ("label", labels, MOST_HIDDEN, -100),
        ):
            parts[name].append(values[:length] + [fill] * (length - len(values)))
    return {name: torch.tensor(values) for name, values in parts.items()}


class SeedLayer(nn.Module):
    """Attention with its matrix, feed-forward of four times the width, norms after each."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.forward_1, self.forward_2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """(B, L, d) to (B, L, d); padding (B, 1, 1, L) is not looked at."""
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        score = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(padding, -1e9)
        mixed = self.dropout(score.softmax(-1)) @ v
        x = self.norm_1(x + self.dropout(self.out(mixed.transpose(1, 2).flatten(-2))))
        return self.norm_2(x + self.dropout(self.forward_2(nn.functional.gelu(self.forward_1(x)))))


class SeedBert(nn.Module):
    """Mean cross-entropy of the hidden tokens of a batch."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.token, self.band = nn.Embedding(N_TOKENS, width), nn.Embedding(N_BANDS, width)
        self.day, self.norm, self.dropout = nn.Embedding(N_DAYS, width), nn.LayerNorm(width), nn.Dropout(0.1)
        self.layers = nn.ModuleList(SeedLayer(width, heads) for _ in range(layers))
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, batch: Batch) -> Tensor:
        """Scalar."""
        padding = (batch["tokens"] == 0)[:, None, None, :]
        x = self.dropout(self.norm(self.token(batch["tokens"]) + self.band(batch["band"]) + self.day(batch["day"])))
        for layer in self.layers:
            x = layer(x, padding)
        hidden = self.transform(x.gather(1, batch["place"][..., None].expand(-1, -1, x.shape[-1])))
        logits = hidden @ self.token.weight[:N_OUTPUT_TOKENS].T
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch["label"].flatten(), ignore_index=-100)
