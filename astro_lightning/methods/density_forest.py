"""The distribution of a number given features: a forest whose leaves hold what their training rows had (Meinshausen 2006)."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import RandomForestRegressor
from torch import nn

from astro_lightning.methods.forest import Forest, finite


class DensityForest(Forest):
    """A regression forest, kept as the shares of the number's bins in every leaf.

    Bins hold like shares of the training rows, less towards both ends, where errors that matter most are rare.

    Args:
        n_bins: Bins of the number.
        n_trees: Trees.
        max_features: Share of the features tried at a split.
        min_samples_leaf: Least training rows in a leaf.

    Attributes:
        centre: (n_bins,) median of the training rows of each bin.
    """

    def __init__(
        self, n_bins: int = 40, n_trees: int = 200, max_features: float = 0.33, min_samples_leaf: int = 5
    ) -> None:
        super().__init__(n_bins)
        self.n_trees, self.max_features, self.min_samples_leaf = n_trees, max_features, min_samples_leaf
        self.centre = nn.Buffer(torch.zeros(n_bins))

    def fit(self, features: np.ndarray, value: np.ndarray, seed: int = 0) -> None:
        """Grow the forest.

        Args:
            features: Shape (rows, n_features), NaN = missing.
            value: The number, shape (rows,).
            seed: Of the rows and features that the trees see.
        """
        n_bins = len(self.centre)
        edges = np.quantile(value, (1 - np.cos(np.pi * np.arange(1, n_bins) / n_bins)) / 2)
        bin_of_row = np.searchsorted(edges, value)
        held = [value[bin_of_row == i] for i in range(n_bins)]
        nearest = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
        centre = [np.median(rows) if len(rows) else near for rows, near in zip(held, nearest)]
        self.centre.copy_(torch.tensor(np.array(centre)))
        values = finite(torch.from_numpy(features)).numpy()
        forest = RandomForestRegressor(
            self.n_trees, max_features=self.max_features, min_samples_leaf=self.min_samples_leaf, random_state=seed
        ).fit(values, value)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        count = np.zeros((starts[-1], n_bins), np.float32)
        np.add.at(count, (forest.apply(values) + starts[:-1], bin_of_row[:, None]), 1)
        self.keep(trees, count / np.maximum(count.sum(1, keepdims=True), 1))
