"""Forests as tensors: grown by scikit-learn, kept and applied without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Missing values go below all others, infinite ones to the ends.
MISSING, LARGEST = -1e9, 1e9
# Rows times trees that are walked down at once.
WALKED_AT_ONCE = 1 << 20


class Forest(nn.Module):
    """Trees whose nodes lie end to end in tensors, so that a checkpoint holds numbers and no code.

    Args:
        n_shares: Numbers in every leaf; they sum to 1.
    """

    def __init__(self, n_shares: int) -> None:
        super().__init__()
        self.n_shares = n_shares
        self.nodes: dict[str, Tensor] = {}

    def keep(self, trees: list[Any], shares: np.ndarray) -> None:
        """Take over grown trees.

        Args:
            trees: The `tree_` of scikit-learn's estimators, of equal features.
            shares: Of all nodes of all trees in turn, shape (nodes, n_shares); only those of leaves are read.
        """
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])

        def joined(name: str, shift: bool = False) -> np.ndarray:
            parts = [getattr(tree, name) + (start if shift else 0) for tree, start in zip(trees, starts)]
            return np.concatenate(parts)

        leaf = joined("feature") < 0
        # Rounded down: rounded up, a threshold may become the very value that belongs on its other side.
        exact = joined("threshold")
        threshold = exact.astype(np.float32)
        threshold = np.where(threshold > exact, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        itself = np.arange(starts[-1])
        self.nodes = {
            "root": torch.from_numpy(starts[:-1].astype(np.int32)),
            "feature": torch.from_numpy(np.where(leaf, 0, joined("feature")).astype(np.int32)),
            "threshold": torch.from_numpy(threshold),
            "left": torch.from_numpy(np.where(leaf, itself, joined("children_left", shift=True)).astype(np.int32)),
            "right": torch.from_numpy(np.where(leaf, itself, joined("children_right", shift=True)).astype(np.int32)),
            "value": torch.from_numpy(shares).half(),
            "depth": torch.tensor(max(tree.max_depth for tree in trees)),
        }

    def forward(self, features: Tensor) -> Tensor:
        """Mean shares of the leaves, shape (rows, n_shares); equal shares before the forest is grown."""
        if not self.nodes:
            return features.new_full((len(features), self.n_shares), 1 / self.n_shares)
        parts = features.split(max(1, WALKED_AT_ONCE // len(self.nodes["root"])))
        return torch.cat([self._walk(finite(part)) for part in parts])

    def _walk(self, features: Tensor) -> Tensor:
        nodes = {name: values.to(features.device) for name, values in self.nodes.items()}
        at = nodes["root"].long().expand(len(features), -1)
        for _ in range(int(nodes["depth"])):
            left = features.gather(1, nodes["feature"][at].long()) <= nodes["threshold"][at]
            at = torch.where(left, nodes["left"][at], nodes["right"][at]).long()
        share = features.new_zeros(len(features), self.n_shares)
        for tree in range(at.shape[1]):  # a row's leaves of all trees at once would be a large copy
            share += nodes["value"][at[:, tree]].float()
        return share / at.shape[1]

    def get_extra_state(self) -> dict[str, Tensor]:
        """The nodes."""
        return self.nodes

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Bring the nodes back."""
        self.nodes = dict(state)


def finite(features: Tensor) -> Tensor:
    """Features as scikit-learn's trees take them."""
    return features.float().nan_to_num(MISSING, LARGEST, -LARGEST).clamp(MISSING, LARGEST)
