"""Extremely randomised trees (Geurts et al. 2006): grown by scikit-learn, kept and applied as tensors."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor, nn

# Missing values go below all others, infinite ones to the ends.
MISSING, LARGEST = -1e9, 1e9
# Rows times trees that are walked down at once.
WALKED_AT_ONCE = 1 << 20


class ExtraTrees(nn.Module):
    """A forest whose nodes lie end to end in tensors, so that a checkpoint holds numbers and no code.

    Args:
        n_classes: Classes.
        n_trees: Trees.
        max_features: Share of the features tried at a split.
        min_samples_leaf: Least training rows in a leaf.
    """

    def __init__(
        self, n_classes: int, n_trees: int = 300, max_features: float = 0.2, min_samples_leaf: int = 1
    ) -> None:
        super().__init__()
        self.n_classes, self.n_trees = n_classes, n_trees
        self.max_features, self.min_samples_leaf = max_features, min_samples_leaf
        self.nodes: dict[str, Tensor] = {}

    def fit(self, features: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, seed: int = 0) -> None:
        """Grow the forest.

        Args:
            features: Shape (rows, n_features), NaN = missing.
            target: Class numbers, shape (rows,).
            weight: Of the rows.
            seed: Of the random splits.
        """
        forest = ExtraTreesClassifier(
            self.n_trees, max_features=self.max_features, min_samples_leaf=self.min_samples_leaf, random_state=seed
        )
        forest.fit(_finite(torch.from_numpy(features)).numpy(), target, weight)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        known = forest.classes_.astype(int)
        value = np.zeros((starts[-1], self.n_classes), np.float32)
        for tree, start in zip(trees, starts):
            value[start : start + tree.node_count, known] = tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True)

        def joined(name: str, shift: bool = False) -> np.ndarray:
            parts = [getattr(tree, name) + (start if shift else 0) for tree, start in zip(trees, starts)]
            return np.concatenate(parts)

        leaf = joined("feature") < 0
        itself = np.arange(starts[-1])
        self.nodes = {
            "root": torch.from_numpy(starts[:-1].astype(np.int32)),
            "feature": torch.from_numpy(np.where(leaf, 0, joined("feature")).astype(np.int32)),
            "threshold": torch.from_numpy(joined("threshold").astype(np.float32)),
            "left": torch.from_numpy(np.where(leaf, itself, joined("children_left", shift=True)).astype(np.int32)),
            "right": torch.from_numpy(np.where(leaf, itself, joined("children_right", shift=True)).astype(np.int32)),
            "value": torch.from_numpy(value).half(),
            "depth": torch.tensor(max(tree.max_depth for tree in trees)),
        }

    def forward(self, features: Tensor) -> Tensor:
        """Mean class shares of the leaves, shape (rows, n_classes); equal shares before the forest is grown."""
        if not self.nodes:
            return features.new_full((len(features), self.n_classes), 1 / self.n_classes)
        parts = features.split(max(1, WALKED_AT_ONCE // len(self.nodes["root"])))
        return torch.cat([self._walk(_finite(part)) for part in parts])

    def _walk(self, features: Tensor) -> Tensor:
        nodes = {name: values.to(features.device) for name, values in self.nodes.items()}
        at = nodes["root"].long().expand(len(features), -1)
        for _ in range(int(nodes["depth"])):
            left = features.gather(1, nodes["feature"][at].long()) <= nodes["threshold"][at]
            at = torch.where(left, nodes["left"][at], nodes["right"][at]).long()
        share = features.new_zeros(len(features), self.n_classes)
        for tree in range(at.shape[1]):  # a row's leaves of all trees at once would be a large copy
            share += nodes["value"][at[:, tree]].float()
        return share / at.shape[1]

    def get_extra_state(self) -> dict[str, Tensor]:
        """The nodes."""
        return self.nodes

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Bring the nodes back."""
        self.nodes = dict(state)


def _finite(features: Tensor) -> Tensor:
    return features.float().nan_to_num(MISSING, LARGEST, -LARGEST).clamp(MISSING, LARGEST)
