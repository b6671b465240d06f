"""Which classes lend their calibration scores to which: marginal, class-conditional, or clustered."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTILES = np.linspace(0.05, 0.95, 19)


def marginal(n_class: int) -> NDArray[np.bool_]:
    """Every class uses every object: coverage holds on average over classes only."""
    return np.ones((n_class, n_class), bool)


def mondrian(n_class: int) -> NDArray[np.bool_]:
    """Every class uses its own objects: coverage holds in each class (Vovk 2012, class-conditional)."""
    return np.eye(n_class, dtype=bool)


def clustered(scores: ArrayLike, label: ArrayLike, n_class: int, min_count: int) -> NDArray[np.bool_]:
    """Rare classes borrow from the classes whose score quantiles lie nearest, until they have `min_count` objects.

    Clustering of classes by score quantiles follows Ding et al. 2023 (arXiv:2306.09335), with the difference that only
    rare classes borrow: a class with enough objects keeps its own, so its coverage stays exact. For a rare class
    coverage holds as far as the scores of its cluster are alike; a class without any object borrows from all.

    Args:
        scores: scores of the true class, shape (objects,); best from objects that are not in the calibration set.
        label: class indices, shape (objects,).
        n_class: number of classes K.
        min_count: objects a class needs; `ceil(1 / alpha) - 1` is the least that lets alpha hold.

    Returns:
        Matrix (K, K): row k marks the classes whose calibration scores class k uses.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(label)
    count = np.bincount(y, minlength=n_class)
    shape = np.full((n_class, len(QUANTILES)), np.nan)
    for k in np.flatnonzero(count):
        shape[k] = np.quantile(s[y == k], QUANTILES)
    pool = mondrian(n_class)
    for k in np.flatnonzero(count < min_count):
        if count[k] == 0:
            pool[k] = True
            continue
        distance = np.abs(shape - shape[k]).mean(1)
        nearest = np.argsort(np.where(np.isnan(distance), np.inf, distance), kind="stable")
        needed = np.searchsorted(np.cumsum(count[nearest]), min_count) + 1
        pool[k, nearest[:needed]] = True
    return pool
