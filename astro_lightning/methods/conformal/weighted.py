"""Density ratio between survey and calibration objects, for weighted conformal inference under covariate shift."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from astro_lightning.data.errors import BadInput


def effective_size(weight: ArrayLike) -> float:
    """Kish's effective sample size (sum w)^2 / sum w^2: how many equal objects the weighted ones are worth."""
    w = np.asarray(weight, dtype=np.float64)
    return float(w.sum() ** 2 / (w**2).sum()) if len(w) else 0.0


def density_ratio(
    source: ArrayLike, target: ArrayLike, clip: float = 20.0, folds: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights p_target(x) / p_source(x) of both samples, by a probabilistic classifier, cross-fitted.

    Use what shifts and is known for every object (brightness, redshift, depth); only a ratio known beforehand keeps the
    exact guarantee of weighted conformal inference (Tibshirani et al. 2019), an estimated one keeps it approximately.
    With BH on top, the FDR guarantee is lost.

    Args:
        source: calibration objects, shape (n, features); NaN allowed.
        target: unlabelled survey objects, shape (m, features).
        clip: weights are held in [1 / clip, clip], which trades bias for effective sample size.
        folds: of the cross-fit: no object is weighted by a classifier that saw it.
        seed: of folds and classifier.

    Returns:
        Weights of the source, shape (n,), and of the target, shape (m,): for `fit` and `p_values`.

    Raises:
        BadInput: fewer than `folds` objects on one side, or a clip below 1.
    """
    a, b = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if min(len(a), len(b)) < folds or clip < 1:
        raise BadInput(
            f"density ratio needs at least {folds} objects on each side and clip >= 1: got {len(a)}, {len(b)}, {clip}"
        )
    x, y = np.vstack([a, b]), np.repeat([0, 1], [len(a), len(b)])
    model = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.05, max_leaf_nodes=6, random_state=seed)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    p = np.clip(cross_val_predict(model, x, y, cv=split, method="predict_proba")[:, 1], 1e-6, 1 - 1e-6)
    ratio = np.clip(p / (1 - p) * len(a) / len(b), 1 / clip, clip)
    return ratio[: len(a)], ratio[len(a) :]
