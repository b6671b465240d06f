"""Normal scores: object features on one scale, whatever their distributions."""

import numpy as np
from scipy.special import ndtri

N_KNOTS = 41
# Normal scores end here: beyond the training values there is nothing to tell apart.
LARGEST = 3.0


def fit_knots(features: np.ndarray) -> np.ndarray:
    """Quantiles (N_KNOTS, n_features) of training features (n_objects, n_features), NaN ignored; 0 where all are NaN."""
    known = np.isfinite(features).any(0)
    knots = np.zeros((N_KNOTS, features.shape[1]))
    knots[:, known] = np.nanquantile(features[:, known].astype(np.float64), np.linspace(0, 1, N_KNOTS), axis=0)
    return knots


def normal_scores(features: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """What a unit normal's value of the same rank would be, float32 (n_objects, n_features); 0, the median, where NaN.

    Light-curve features span 15 decades, and some statistics have tails that would drown all else in a distance.
    """
    level = np.linspace(0, 1, len(knots))
    rank = np.empty(features.shape)
    for values, column, out in zip(features.T, knots.T, rank.T, strict=True):
        # A value that many objects share has their mean rank: the mean of both ends of its flat piece.
        out[:] = (np.interp(values, column, level) + 1 - np.interp(-values, -column[::-1], level)) / 2
    return np.nan_to_num(np.clip(ndtri(rank), -LARGEST, LARGEST)).astype(np.float32)
