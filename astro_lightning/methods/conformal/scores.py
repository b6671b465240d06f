"""Nonconformity scores of every candidate class: the larger, the less the class fits the object."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput

ScoreName = Literal["lac", "aps", "raps"]


def checked_prob(prob: ArrayLike) -> NDArray[np.float64]:
    """Probabilities as float64, shape (objects, classes).

    Raises:
        BadInput: not two-dimensional, not finite, or outside [0, 1].
    """
    # the one precision everywhere: the same value in float32 and float64 would break ties between calibration and test
    p = np.asarray(prob, dtype=np.float64)
    if p.ndim != 2:
        raise BadInput(f"probabilities have shape {p.shape}: give one row per object and one column per class")
    if p.size and not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1 + 1e-6):
        raise BadInput("probabilities are not finite or not in [0, 1]: apply softmax to the logits first")
    return p


def lac(prob: ArrayLike) -> NDArray[np.float64]:
    """Least ambiguous classifier: 1 - probability (Sadinle, Lei & Wasserman 2019, JASA 114, 223).

    Args:
        prob: shape (objects, classes), rows sum to 1.

    Returns:
        Scores, same shape, in [0, 1].
    """
    return 1 - checked_prob(prob)


def aps(prob: ArrayLike, u: ArrayLike | None = None) -> NDArray[np.float64]:
    """Adaptive prediction sets: probability mass of the classes at least as likely (Romano, Sesia & Candes 2020).

    Args:
        prob: shape (objects, classes), rows sum to 1.
        u: shape (objects,), uniform numbers that take off a random part of the class's own mass; None = no part.

    Returns:
        Scores, same shape.
    """
    return raps(prob, penalty=0.0, free=0, u=u)


def raps(prob: ArrayLike, penalty: float = 0.01, free: int = 2, u: ArrayLike | None = None) -> NDArray[np.float64]:
    """Regularised adaptive prediction sets (Angelopoulos, Bates, Malik & Jordan 2021, arXiv:2009.14193).

    Args:
        prob: shape (objects, classes), rows sum to 1.
        penalty: added for each rank beyond `free`.
        free: number of most likely classes that are not penalised.
        u: shape (objects,), as in `aps`.

    Returns:
        Scores, same shape.
    """
    p = checked_prob(prob)
    order = np.argsort(-p, axis=1, kind="stable")
    # 1 less the mass below: of the least likely class exactly 1 in every row, where a sum's rounding would break the ties
    mass = np.ones_like(p)
    mass[:, :-1] -= np.cumsum(np.take_along_axis(p, order, axis=1)[:, :0:-1], axis=1)[:, ::-1]
    mass += penalty * np.maximum(np.arange(1, p.shape[1] + 1) - free, 0)
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, mass, axis=1)
    if u is not None:
        scores -= np.asarray(u, dtype=np.float64)[:, None] * p
    return scores


def nonconformity(
    prob: ArrayLike, name: ScoreName, u: ArrayLike | None = None, penalty: float = 0.01, free: int = 2
) -> NDArray[np.float64]:
    """Scores by name; `lac` ignores `u`, and only `raps` uses `penalty` and `free`.

    Raises:
        BadInput: unknown name or bad probabilities.
    """
    if name == "lac":
        return lac(prob)
    if name == "aps":
        return aps(prob, u)
    if name == "raps":
        return raps(prob, penalty, free, u)
    raise BadInput(f"conformal score '{name}' is not known: choose lac, aps or raps")
