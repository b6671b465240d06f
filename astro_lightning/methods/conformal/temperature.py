"""Temperature scaling of class probabilities (Guo, Pleiss, Sun & Weinberger 2017, ICML)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from astro_lightning.data.errors import BadInput

FLOOR = 1e-12


def logits_of(prob: ArrayLike) -> NDArray[np.float64]:
    """Log probabilities of a model that gives no logits; exact zeros are raised to 1e-12."""
    return np.log(np.maximum(np.asarray(prob, dtype=np.float64), FLOOR))


def fit_temperature(logits: ArrayLike, label: ArrayLike) -> float:
    """Temperature in [0.02, 50] that minimises the negative log likelihood.

    Args:
        logits: shape (objects, classes), of the early-stop split: fitted on the calibration split it would void the
            exchangeability that conformal coverage rests on.
        label: class indices, shape (objects,).

    Raises:
        BadInput: logits that are not finite or labels that do not fit them.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(label, dtype=np.int64)
    if z.ndim != 2 or not len(z) or y.shape != z.shape[:1] or not np.isfinite(z).all():
        raise BadInput(f"temperature needs finite logits (objects, classes), one label each: got {z.shape}, {y.shape}")
    row = np.arange(len(y))

    def loss(log_t: float) -> float:
        return -float(log_softmax(z / np.exp(log_t), axis=1)[row, y].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.02), np.log(50)), method="bounded").x))


def scale(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities at a temperature, shape (objects, classes)."""
    return softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
