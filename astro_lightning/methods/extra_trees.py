"""Extremely randomised trees (Geurts et al. 2006)."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier

from astro_lightning.methods.forest import Forest, finite


class ExtraTrees(Forest):
    """A forest whose leaves hold the shares of the classes.

    Args:
        n_classes: Classes.
        n_trees: Trees.
        max_features: Share of the features tried at a split.
        min_samples_leaf: Least training rows in a leaf.
    """

    def __init__(
        self, n_classes: int, n_trees: int = 300, max_features: float = 0.2, min_samples_leaf: int = 1
    ) -> None:
        super().__init__(n_classes)
        self.n_trees, self.max_features, self.min_samples_leaf = n_trees, max_features, min_samples_leaf

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
        forest.fit(finite(torch.from_numpy(features)).numpy(), target, weight)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        known = forest.classes_.astype(int)
        shares = np.zeros((sum(tree.node_count for tree in trees), self.n_shares), np.float32)
        shares[:, known] = np.concatenate([tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True) for tree in trees])
        self.keep(trees, shares)
