"""The observations of a batch one after another, without its padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class _Take(torch.autograd.Function):
    """Distinct rows of x. The library's own backward adds up rows one by one in case some repeat; none does here."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.length = len(x)
        return x.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.length, *gradient.shape[1:]).index_copy_(0, rows, gradient), None


class Packing:
    """Between tokens (B, L, ...) and the N of them that are no padding, (N, ...).

    Args:
        mask: (B, L) bool, true = not padding.
        jagged: Attention too goes without padding, by a GPU's kernels for sequences of unequal lengths; those of a
            processor are slower than its padded attention.
    """

    def __init__(self, mask: Tensor, jagged: bool = False) -> None:
        self.mask, self.jagged = mask, jagged
        self.rows = mask.flatten().nonzero()[:, 0]

    def pack(self, x: Tensor) -> Tensor:
        """(B, L, ...) to (N, ...)."""
        return _Take.apply(x.flatten(0, 1), self.rows)

    def unpack(self, x: Tensor) -> Tensor:
        """(N, ...) to (B, L, ...), 0 where padding was."""
        padded = x.new_zeros(self.mask.shape.numel(), *x.shape[1:]).index_copy(0, self.rows, x)
        return padded.unflatten(0, self.mask.shape)

    def attention(self, qkv: Tensor, dropout: float) -> Tensor:
        """Mix the values within each row of the mask: queries, keys and values (N, 3, H, D) to (N, H, D)."""
        ends = self.mask.sum(dim=1).cumsum(0)
        offsets = functional.pad(ends, (1, 0))
        # the bounds of the lengths are given, or asking for them would wait for the device
        q, k, v = (
            torch.nested.nested_tensor_from_jagged(
                part.contiguous(), offsets, min_seqlen=1, max_seqlen=self.mask.shape[1]
            ).transpose(1, 2)
            for part in qkv.unbind(1)
        )
        return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).values()
