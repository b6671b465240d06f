"""How unlike the known classes an object is: scores that grow with novelty and are not the softmax."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf
from sklearn.neighbors import NearestNeighbors

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import State


def energy(logits: ArrayLike) -> NDArray[np.float64]:
    """Minus log sum of exponentiated logits (Liu, Wang, Owens & Li 2020, arXiv:2010.03759).

    Args:
        logits: shape (objects, classes), before any normalisation (normalised ones give a constant).

    Returns:
        Shape (objects,).
    """
    return -logsumexp(np.asarray(logits, dtype=np.float64), axis=1)


def checked_embedding(embedding: ArrayLike) -> NDArray[np.float64]:
    """Embedding as float64, shape (objects, dimensions).

    Raises:
        BadInput: not two-dimensional or not finite.
    """
    x = np.asarray(embedding, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise BadInput(f"embedding {x.shape} must be finite, one row per object: NormalSpace fills what is not known")
    return x


class KNearest:
    """Mean distance to the k nearest training objects (Sun, Ming, Zhu & Li 2022, arXiv:2204.06507).

    Args:
        k: neighbours, at most the number of training objects.
        max_reference: training objects kept, drawn at random beyond.
        seed: of the draw.
    """

    def __init__(self, k: int = 10, max_reference: int = 50_000, seed: int = 0) -> None:
        self.k, self.max_reference, self.seed = k, max_reference, seed

    def fit(self, embedding: ArrayLike) -> "KNearest":
        """Keep the embedding of training objects of known classes, shape (objects, dimensions)."""
        x = checked_embedding(embedding)
        if not len(x):
            raise BadInput("nearest neighbours need at least one training object")
        if len(x) > self.max_reference:
            x = x[np.sort(np.random.default_rng(self.seed).choice(len(x), self.max_reference, replace=False))]
        self.reference = x.astype(np.float32)
        self._index = NearestNeighbors(n_neighbors=min(self.k, len(x))).fit(self.reference)
        return self

    def score(self, embedding: ArrayLike) -> NDArray[np.float64]:
        """Novelty, shape (objects,), in units of the embedding."""
        return self._index.kneighbors(checked_embedding(embedding).astype(np.float32))[0].mean(axis=1)

    def state(self) -> State:
        """Plain scalars and arrays, for a checkpoint."""
        return {"k": self.k, "max_reference": self.max_reference, "seed": self.seed, "reference": self.reference}

    @classmethod
    def from_state(cls, state: State) -> "KNearest":
        """Inverse of `state`."""
        return cls(state["k"], state["max_reference"], state["seed"]).fit(np.asarray(state["reference"]))  # type: ignore[arg-type]


class Mahalanobis:
    """Squared distance to the nearest class mean under a shrunk covariance (Lee et al. 2018, arXiv:1807.03888).

    Each class has its own covariance (Ledoit & Wolf 2004 shrinkage), with its log determinant; one with fewer objects than
    dimensions has that of all classes together.
    """

    def fit(self, embedding: ArrayLike, label: ArrayLike) -> "Mahalanobis":
        """Learn from training objects of known classes: shape (objects, dimensions) and class indices.

        Raises:
            BadInput: no object, or an embedding that is not finite.
        """
        x, y = checked_embedding(embedding), np.asarray(label)
        if not len(x) or len(x) != len(y):
            raise BadInput(f"Mahalanobis distance needs one label per training object: got {len(x)} and {len(y)}")
        names, index = np.unique(y, return_inverse=True)
        self.means = np.array([x[index == k].mean(axis=0) for k in range(len(names))])
        residual = x - self.means[index]
        groups = [residual[index == k] for k in range(len(names))]
        covariance = np.array([_shrunk(g if len(g) > x.shape[1] else residual) for g in groups])
        self.precision, self.log_det = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]
        return self

    def score(self, embedding: ArrayLike) -> NDArray[np.float64]:
        """Novelty, shape (objects,)."""
        x, classes = checked_embedding(embedding), zip(self.means, self.precision, self.log_det)
        return np.min([(((x - m) @ p) * (x - m)).sum(axis=1) + d for m, p, d in classes], axis=0)

    def state(self) -> State:
        """Plain scalars and arrays, for a checkpoint."""
        return {"means": self.means, "precision": self.precision, "log_det": self.log_det}

    @classmethod
    def from_state(cls, state: State) -> "Mahalanobis":
        """Inverse of `state`."""
        new = cls()
        new.means, new.precision, new.log_det = (np.asarray(state[k]) for k in ("means", "precision", "log_det"))
        return new


def _shrunk(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance = ledoit_wolf(residual, assume_centered=True)[0]
    # a constant dimension leaves a covariance that has no inverse
    scale = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return covariance + 1e-6 * scale * np.eye(len(covariance))
