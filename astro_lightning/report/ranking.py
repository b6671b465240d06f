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
    return np.array([_areas(own, truth == k, levels) for k, own in enumerate(ranks.T)]).T


def _areas(ranks: np.ndarray, is_class: np.ndarray, levels: int) -> tuple[float, float]:
    # Of one class, as counts of all levels take many times the memory of the ranks.
    every, positive = (np.bincount(found, minlength=levels) for found in (ranks, ranks[is_class]))
    true, n_positive = np.cumsum(positive), np.count_nonzero(is_class)
    if n_positive in (0, len(ranks)):
        return np.nan, np.nan
    roc = ((every - positive) * (true - positive / 2)).sum() / (n_positive * (len(ranks) - n_positive))
    precision = (positive * (true / np.maximum(np.cumsum(every), 1))).sum() / n_positive
    return float(roc), float(precision)
