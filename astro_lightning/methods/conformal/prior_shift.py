"""Class proportions that differ between training and the survey (label shift)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.scores import checked_prob

TOLERANCE, MAX_STEPS = 1e-6, 1000  # a fit ends where no proportion moves more, or after so many steps


def reweight(prob: ArrayLike, train_prior: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
    """Probabilities under other class proportions; rows sum to 1.

    Args:
        prob: shape (objects, classes), of a model trained at `train_prior`.
        train_prior: class proportions the model was trained with, shape (classes,).
        prior: class proportions wanted, shape (classes,).
    """
    p, ratio = checked_prob(prob), np.asarray(prior, dtype=np.float64) / np.asarray(train_prior, dtype=np.float64)
    p = p * ratio
    total = p.sum(axis=1, keepdims=True)
    # all the mass on classes that the new prior excludes: the prior is all that is left to say
    return np.where(total > 0, p / np.where(total > 0, total, 1), np.asarray(prior, dtype=np.float64))


def em_prior(prob: ArrayLike, train_prior: ArrayLike) -> NDArray[np.float64]:
    """Class proportions of an unlabelled batch by expectation maximisation (Saerens, Latinne & Decaestecker 2002).

    It needs calibrated probabilities and no unknown class in the batch.

    Args:
        prob: shape (objects, classes), of a model trained at `train_prior`.
        train_prior: positive class proportions, shape (classes,).

    Raises:
        BadInput: empty batch, or a training prior that is not positive.
    """
    p, base = checked_prob(prob), np.asarray(train_prior, dtype=np.float64)
    if not len(p) or base.shape != p.shape[1:] or not (base > 0).all():
        raise BadInput("EM prior needs at least one object and a positive training proportion for every class")
    base = base / base.sum()
    prior = base
    for _ in range(MAX_STEPS):
        new = reweight(p, base, prior).mean(axis=0)
        done = np.abs(new - prior).max() < TOLERANCE
        prior = new
        if done:
            break
    return prior
