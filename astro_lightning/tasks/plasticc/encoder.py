"""A transformer encoder that never looks at padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from astro_lightning.tasks.plasticc.packing import Packing

Rotation = tuple[Tensor, Tensor]


def init_weights(module: nn.Module) -> None:
    """Truncated normal of 0.02 for weights, zero for biases; for `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the pairs of halves of x (..., D) by the angles with these cosines and sines (..., D / 2)."""
    cos, sin = rotation
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, attend: Tensor, dropout: float) -> Tensor:
    """Mix v (B, H, L, D) by the likeness of q and k over the positions where attend (B, 1, 1, L) is true."""
    if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # the processor's backward pass of attention is three times slower in bfloat16 than in float32
        with torch.autocast("cpu", enabled=False):
            return attention(q.float(), k.float(), v.float(), attend, dropout)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=dropout)


class Attention(nn.Module):
    """Multi-head self-attention; the heads need not divide the model's width."""

    def __init__(self, d_model: int, n_heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.head_dim, self.dropout = n_heads, head_dim, dropout
        self.qkv = nn.Linear(d_model, 3 * n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, d_model)

    def forward(
        self, x: Tensor, attend: Tensor, rotation: Rotation | None = None, packing: Packing | None = None
    ) -> Tensor:
        """Mix x over the positions where attend (B, 1, 1, L) is true.

        Args:
            x: (B, L, d), or (N, d) with `packing`.
            attend: What may be looked at.
            rotation: Cosines and sines (B, L, D / 2), or (N, D / 2).
            packing: Of the N tokens that are no padding.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, self.head_dim))
        if rotation is not None:
            cos, sin = (part[..., None, None, :] for part in rotation)
            turned = rotate(qkv[..., :2, :, :], (cos, sin)).to(qkv.dtype)  # the angles stay float32
            qkv = torch.cat((turned, qkv[..., 2:, :, :]), dim=-3)
        dropout = self.dropout if self.training else 0.0
        if packing is not None and packing.jagged:
            return self.out(packing.attention(qkv, dropout).flatten(-2))
        qkv = qkv if packing is None else packing.unpack(qkv)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = attention(q, k, v, attend, dropout).transpose(1, 2)
        return self.out((mixed if packing is None else packing.pack(mixed)).flatten(-2))


class EncoderLayer(nn.Module):
    """Attention and a GELU feed-forward part, each with its residual; layer norm before each part or after it."""

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        head_dim: int,
        d_ff: int,
        dropout: float,
        attention_dropout: float,
        norm_first: bool,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(d_model, n_heads, head_dim, attention_dropout)
        self.feed_forward = nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))
        self.norm_attention = nn.LayerNorm(d_model)
        self.norm_feed_forward = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, attend: Tensor, rotation: Rotation | None = None, packing: Packing | None = None
    ) -> Tensor:
        """(B, L, d) to (B, L, d), or (N, d) to (N, d) with `packing`."""
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm_attention(x), attend, rotation, packing))
            return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
        x = self.norm_attention(x + self.dropout(self.attention(x, attend, rotation, packing)))
        return self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))


class Encoder(nn.Module):
    """A stack of `EncoderLayer`, with a last layer norm where the norms come first.

    On a processor padding takes part in nothing but the attention; with `packed_on_gpu` it takes part in nothing on other
    devices either.

    Dropout of attention weights is a setting of its own: it keeps PyTorch from its fused attention on a processor, which
    makes training half as fast.
    """

    def __init__(
        self,
        n_layers: int,
        d_model: int,
        n_heads: int,
        head_dim: int,
        d_ff: int,
        dropout: float,
        attention_dropout: float,
        norm_first: bool,
        packed_on_gpu: bool = False,
    ) -> None:
        super().__init__()
        self.packed_on_gpu = packed_on_gpu
        layer = (d_model, n_heads, head_dim, d_ff, dropout, attention_dropout, norm_first)
        self.layers = nn.ModuleList(EncoderLayer(*layer) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Encode x (B, L, d); mask (B, L) is true on what may be looked at, at least once in each row.

        Rotation is cosines and sines (B, L, D / 2). What comes back for padding that was left out is 0.
        """
        attend = mask[:, None, None, :]
        on_cpu = x.device.type == "cpu"
        # An exported or compiled network keeps shapes that do not depend on values.
        if not (on_cpu or self.packed_on_gpu) or torch.compiler.is_compiling() or bool(mask.all()):
            for layer in self.layers:
                x = layer(x, attend, rotation)
            return self.norm(x)
        packing = Packing(mask, jagged=not on_cpu)
        x = packing.pack(x)
        rotation = None if rotation is None else (packing.pack(rotation[0]), packing.pack(rotation[1]))
        for layer in self.layers:
            x = layer(x, attend, rotation, packing)
        return packing.unpack(self.norm(x))
