"""BERT over discrete flux tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from astro_lightning.tasks.plasticc.encoder import Encoder, init_weights
from astro_lightning.tasks.plasticc.tokenizer_seed import N_DAYS, N_OUTPUT_TOKENS, N_TOKENS, PAD


class TokenDecoder(nn.Module):
    """Logits of the 400 tokens from token states; the decoder's weights are those of the token embedding."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.transform = nn.Sequential(nn.Linear(d_model, d_model), nn.GELU(), nn.LayerNorm(d_model))
        self.bias = nn.Parameter(torch.zeros(N_OUTPUT_TOKENS))

    def forward(self, states: Tensor, embedding: Tensor) -> Tensor:
        """(..., d) to (..., 400)."""
        return functional.linear(self.transform(states), embedding[:N_OUTPUT_TOKENS], self.bias)


class PlasticcBert(nn.Module):
    """Post-norm BERT (Devlin 2018, arXiv:1810.04805) with embedding LayerNorm(token + band + day (+ segment)).

    The published sizes (layers/heads/width) are 4/12/768, 12/12/512 and 8/8/512. Heads have a width of their own, 64
    in all three, so that 12 heads serve a width of 512 too: queries, keys and values are then 768 wide.

    Args:
        n_layers: encoder layers.
        n_heads: attention heads.
        d_model: width.
        head_dim: width of one head.
        dropout: on embeddings, attention weights and both residual branches.
        n_bands: bands of the survey.
        segments: embed which of two joined light curves a token is from (pair form).
    """

    def __init__(
        self,
        n_layers: int = 8,
        n_heads: int = 8,
        d_model: int = 512,
        head_dim: int = 64,
        dropout: float = 0.1,
        n_bands: int = 6,
        segments: bool = False,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.token = nn.Embedding(N_TOKENS, d_model, padding_idx=PAD)
        self.band = nn.Embedding(n_bands, d_model)
        self.day = nn.Embedding(N_DAYS, d_model)
        self.segment = nn.Embedding(2, d_model) if segments else None
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(n_layers, d_model, n_heads, head_dim, 4 * d_model, dropout, dropout, norm_first=False)
        self.reconstruction = TokenDecoder(d_model)
        self.apply(init_weights)

    def encode(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """States (B, L, d) of all tokens and the state (B, d) of CLS.

        Args:
            batch: tokens, band, day, segment (B, L) int64, mask (B, L) bool, true = not padding.
        """
        x = self.token(batch["tokens"]) + self.band(batch["band"]) + self.day(batch["day"])
        if self.segment is not None:
            x = x + self.segment(batch["segment"])
        states = self.encoder(self.dropout(self.norm(x)), batch["mask"])
        return states, states[:, 0]

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One vector (B, d) for each object."""
        return self.encode(batch)[1]

    def reconstruct(self, states: Tensor) -> Tensor:
        """Logits (..., 400) of the flux token at each state (..., d)."""
        return self.reconstruction(states, self.token.weight)
