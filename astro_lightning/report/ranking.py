"""Areas under ROC and precision-recall curves, for all classes at once."""

import numpy as np
from scipy.stats import rankdata


def threshold_counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at each distinct threshold, from the strictest to the loosest.

    Args:
        scores: (rows,) higher means more probably positive.
        positive: (rows,) bool.

    Returns:
        Two (thresholds + 1,) arrays that start at 0.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(positive[order])[last_of_tie]
    return np.append(0, true), np.append(0, last_of_tie + 1 - true)


def descending_ranks(scores: np.ndarray) -> np.ndarray:
    """(rows, C) rank of each score within its column, 0 for the highest; equal scores share a rank."""
    return rankdata(-scores, "dense", axis=0) - 1


def areas(truth: np.ndarray, ranks: np.ndarray, levels: int) -> np.ndarray:
    """Area under the ROC curve and average precision of each class against the rest.

    Works on ranks so that a resample needs no new sort.

    Args:
        truth: (rows,) class numbers.
        ranks: (rows, C) from `descending_ranks`.
        levels: One more than the highest rank.

    Returns:
        (2, C): ROC AUC (ties count half) and average precision; NaN for a class without positives or negatives.
    """
    rows, n_classes = ranks.shape
    shape = (n_classes, levels)
    every = np.bincount((ranks + np.arange(n_classes) * levels).ravel(), minlength=n_classes * levels).reshape(shape)
    own = truth * levels + ranks[np.arange(rows), truth]
    positive = np.bincount(own, minlength=n_classes * levels).reshape(shape)
    true = np.cumsum(positive, axis=1)
    selected = np.cumsum(every, axis=1)
    n_positive = true[:, -1].astype(float)
    n_positive[(n_positive == 0) | (n_positive == rows)] = np.nan
    roc = ((every - positive) * (true - positive / 2)).sum(axis=1) / (n_positive * (rows - n_positive))
    precision = (positive * (true / np.maximum(selected, 1))).sum(axis=1) / n_positive
    return np.stack([roc, precision])
