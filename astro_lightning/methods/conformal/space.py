"""A space in which distances mean something: quantile-normalised features, principal components."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import State

CLIP = 3.5
QUANTILES = 500  # kept per feature


class NormalSpace:
    """Each feature to a standard normal through its training quantiles (not known = 0), then principal components.

    Args:
        n_component: components kept, at most the number of features.
    """

    def __init__(self, n_component: int = 20) -> None:
        self.n_component = n_component

    def fit(self, features: ArrayLike) -> "NormalSpace":
        """Learn from training objects of known classes, shape (objects, features); NaN = not known.

        Raises:
            BadInput: fewer than two objects.
        """
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or len(x) < 2:
            raise BadInput(f"a feature space needs at least 2 objects (objects, features): got shape {x.shape}")
        known = np.where(np.isfinite(x), x, np.nan)
        # a feature that no training object has says nothing: every object gets 0 there
        known[:, np.isnan(known).all(axis=0)] = 0.0
        self.quantiles = np.nanquantile(known, np.linspace(0, 1, QUANTILES), axis=0)
        normal = self.normal(x)
        self.mean = normal.mean(axis=0)
        _, _, axes = np.linalg.svd(normal - self.mean, full_matrices=False)
        self.axes = axes[: self.n_component]
        return self

    def normal(self, features: ArrayLike) -> NDArray[np.float64]:
        """Features as standard normal deviates, clipped to +-3.5."""
        x = np.asarray(features, dtype=np.float64)
        at = np.linspace(0, 1, self.quantiles.shape[0])
        out = np.zeros(x.shape)
        for j, q in enumerate(self.quantiles.T):
            # a run of equal quantiles (many ties) maps to the middle of its run
            below = np.interp(x[:, j], q, at)
            above = 1 - np.interp(-x[:, j], -q[::-1], at)
            out[:, j] = (below + above) / 2
        # what `scipy.stats.norm.ppf` calls after checks that take longer than it does
        return np.where(np.isfinite(x), np.clip(ndtri(out), -CLIP, CLIP), 0.0)

    def transform(self, features: ArrayLike) -> NDArray[np.float64]:
        """Principal components, shape (objects, n_component)."""
        return (self.normal(features) - self.mean) @ self.axes.T

    def state(self) -> State:
        """Plain arrays, for a checkpoint."""
        return {"quantiles": self.quantiles, "mean": self.mean, "axes": self.axes}

    @classmethod
    def from_state(cls, state: State) -> "NormalSpace":
        """Inverse of `state`."""
        q, mean, axes = (np.asarray(state[k], dtype=np.float64) for k in ("quantiles", "mean", "axes"))
        new = cls(len(axes))
        new.quantiles, new.mean, new.axes = q, mean, axes
        return new
