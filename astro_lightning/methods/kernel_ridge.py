"""Kernel ridge classification (a least-squares support vector machine, Suykens & Vandewalle 1999) as a network layer."""

from typing import Any

import torch
from torch import Tensor, nn

# Turns the fitted -1...1 into a log-odds of about the right size.
LOG_ODDS = 3.0


class KernelRidge(nn.Module):
    """A sum of Laplace kernels, one for each block of features, solved in closed form.

    A sum of kernels learns a sum of functions: blocks of unequal quality do not drown each other, as they would in one kernel
    over all features.

    Args:
        blocks: Number of features in each block, in order.
        ridge: Added to the kernel matrix's diagonal.
        steepness: A block's kernel is exp(-steepness * mean absolute difference of its features).
    """

    support: Tensor
    weights: Tensor

    def __init__(self, blocks: list[int], ridge: float = 0.2, steepness: float = 1.0) -> None:
        super().__init__()
        self.blocks, self.ridge, self.steepness = list(blocks), ridge, steepness
        self.support, self.weights, self.offset = torch.empty(0, sum(blocks)), torch.empty(0), 0.0

    def fit(self, features: Tensor, target: Tensor) -> None:
        """Solve for training features (n, n_features) and class numbers 0 or 1 (n,); cost grows with n cubed."""
        sign = 2.0 * target.double() - 1
        self.support, self.offset = features.clone(), float(sign.mean())
        kernel = self.kernel(features).double()
        kernel.diagonal().add_(self.ridge)
        self.weights = torch.linalg.solve(kernel, sign - self.offset).float()

    def kernel(self, features: Tensor) -> Tensor:
        """(n, n_support), mean over the blocks."""
        parts = zip(features.split(self.blocks, 1), self.support.split(self.blocks, 1), strict=True)
        return torch.stack([(-self.steepness / a.shape[1] * torch.cdist(a, b, p=1)).exp() for a, b in parts]).mean(0)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, 2); 0 before the fit."""
        if not len(self.support):
            return features.new_zeros(len(features), 2)
        self.support, self.weights = self.support.to(features.device), self.weights.to(features.device)
        logit = LOG_ODDS * (self.kernel(features) @ self.weights + self.offset)
        return torch.stack([torch.zeros_like(logit), logit], 1)

    def get_extra_state(self) -> dict[str, Any]:
        """What the fit found; its size is that of the training set."""
        return {"support": self.support.cpu(), "weights": self.weights.cpu(), "offset": self.offset}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Bring it back."""
        self.support, self.weights, self.offset = state["support"], state["weights"], state["offset"]
