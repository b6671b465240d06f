"""Conformal p-values from the rank of a score among (weighted) calibration scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput

State = dict[str, object]


class Ranks:
    """Sorted calibration scores with the weight that lies at or above each.

    p = (w(x) + sum of w_i with s_i >= s(x)) / (w(x) + sum of w_i), which with unit weights is
    (1 + #{s_i >= s}) / (n + 1) (Vovk, Gammerman & Shafer 2005); density-ratio weights: Tibshirani et al. 2019.

    Args:
        scores: calibration scores, shape (n,); n may be 0, and then every p-value is 1.
        weight: positive weights, shape (n,); None = all 1.

    Raises:
        BadInput: scores or weights that are not finite, or weights that are not positive.
    """

    def __init__(self, scores: ArrayLike, weight: ArrayLike | None = None) -> None:
        s = np.asarray(scores, dtype=np.float64).ravel()
        w = np.ones_like(s) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
        if s.shape != w.shape or not (np.isfinite(s).all() and np.isfinite(w).all() and (w > 0).all()):
            raise BadInput(
                "calibration scores and weights must be finite, weights positive, of one length: drop other objects"
            )
        order = np.argsort(s, kind="stable")
        self.scores, self.weight = s[order], w[order]
        self.above = np.append(np.cumsum(self.weight[::-1])[::-1], 0.0)

    @property
    def n(self) -> int:
        """Number of calibration scores."""
        return len(self.scores)

    @property
    def smallest_p(self) -> float:
        """Smallest p-value of an object of unit weight: the smallest alpha at which a set can leave the class out."""
        return 1 / (self.above[0] + 1)

    def mass(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Weight of the calibration scores at or above each of `scores`."""
        return self.above[np.searchsorted(self.scores, np.asarray(scores, dtype=np.float64), side="left")]

    def p_values(
        self, scores: ArrayLike, weight: ArrayLike | None = None, u: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """p-values in (0, 1], of the shape of `scores`.

        Args:
            scores: scores of new objects.
            weight: their density-ratio weights; None = all 1.
            u: numbers in (0, 1] that break ties at random, making p exactly uniform; None counts ties as at or above.
        """
        s = np.asarray(scores, dtype=np.float64)
        own = np.float64(1) if weight is None else np.asarray(weight, dtype=np.float64)
        if not np.all(own > 0):
            raise BadInput("density-ratio weights of new objects are not all positive: clip the ratio")
        at_or_above = self.mass(s)
        if u is None:
            mass = at_or_above + own
        else:
            above = self.above[np.searchsorted(self.scores, s, side="right")]
            mass = above + np.asarray(u) * (at_or_above - above + own)
        return mass / (self.above[0] + own)

    def state(self) -> State:
        """Plain arrays from which `from_state` restores the object."""
        return {"scores": self.scores, "weight": self.weight}

    @classmethod
    def from_state(cls, state: State) -> "Ranks":
        """Inverse of `state`; arrays may be NumPy arrays, lists or tensors."""
        return cls(np.asarray(state["scores"]), np.asarray(state["weight"]))


def pooled_p_values(
    ranks: Sequence[Ranks], scores: Sequence[ArrayLike], weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """p-values from the calibration scores of several folds, each under its own model (Vovk 2015, Ann. Math. AI 74, 9).

    Args:
        ranks: One per fold.
        scores: Scores of the new objects under each fold's model, each (objects,).
        weight: Density-ratio weights of the new objects; None = all 1.
    """
    own = np.float64(1) if weight is None else np.asarray(weight, dtype=np.float64)
    mass = np.sum([r.mass(s) for r, s in zip(ranks, scores, strict=True)], axis=0)
    return (mass + own) / (sum(r.above[0] for r in ranks) + own)
