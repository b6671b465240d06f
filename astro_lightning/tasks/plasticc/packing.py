"""The observations of a batch one after another, without its padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
    """

    def __init__(self, mask: Tensor) -> None:
        self.shape = mask.shape
        self.rows = mask.flatten().nonzero()[:, 0]

    def pack(self, x: Tensor) -> Tensor:
        """(B, L, ...) to (N, ...)."""
        return _Take.apply(x.flatten(0, 1), self.rows)

    def unpack(self, x: Tensor) -> Tensor:
        """(N, ...) to (B, L, ...), 0 where padding was."""
        padded = x.new_zeros(self.shape.numel(), *x.shape[1:]).index_copy(0, self.rows, x)
        return padded.unflatten(0, self.shape)
