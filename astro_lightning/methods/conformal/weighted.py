"""Density ratio between survey and calibration objects, for weighted conformal inference under covariate shift."""

import numpy as np
import xgboost as xgb
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import State

ROUNDS = 80
PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "eta": 0.05,
    "max_depth": 3,
    "min_child_weight": 5,
    "nthread": 1,
}


class DensityRatio:
    """p_target(x) / p_source(x), by boosted trees that tell the two samples apart, cross-fitted.

    Use what shifts and is known for every object (brightness, redshift, depth); only a ratio known beforehand keeps the
    exact guarantee of weighted conformal inference (Tibshirani et al. 2019), an estimated one keeps it approximately.
    With BH on top, the FDR guarantee is lost.

    Args:
        clip: weights are held in [1 / clip, clip], which trades bias for effective sample size.
        folds: of the cross-fit: no source object is weighted by a classifier that saw it.
        seed: of the folds.
    """

    def __init__(self, clip: float = 20.0, folds: int = 5, seed: int = 0) -> None:
        if clip < 1:
            raise BadInput(f"clip of the density ratio is {clip}: give a number of 1 or more")
        self.clip, self.folds, self.seed = clip, folds, seed
        self.boosters: list[xgb.Booster] = []
        self.prior = 1.0

    def fit(self, source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
        """Learn from calibration objects (n, features) and unlabelled survey objects (m, features), NaN allowed.

        Returns:
            Weights of the calibration objects, shape (n,).

        Raises:
            BadInput: fewer objects than folds on one side.
        """
        a, b = np.asarray(source, dtype=np.float32), np.asarray(target, dtype=np.float32)
        if min(len(a), len(b)) < self.folds:
            raise BadInput(f"density ratio needs at least {self.folds} objects on each side: got {len(a)}, {len(b)}")
        x, y = np.vstack([a, b]), np.repeat([0, 1], [len(a), len(b)])
        self.prior = len(a) / len(b)
        log_odds = np.zeros(len(a))
        for train, rest in StratifiedKFold(self.folds, shuffle=True, random_state=self.seed).split(x, y):
            self.boosters.append(xgb.train(PARAMETERS, xgb.QuantileDMatrix(x[train], y[train]), ROUNDS))
            rest = rest[rest < len(a)]
            log_odds[rest] = self.boosters[-1].inplace_predict(a[rest], predict_type="margin")
        return self._ratio(log_odds)

    def weights(self, objects: ArrayLike) -> NDArray[np.float64]:
        """Weights of new objects (k, features): the geometric mean over the classifiers."""
        x = np.asarray(objects, dtype=np.float32)
        return self._ratio(np.mean([b.inplace_predict(x, predict_type="margin") for b in self.boosters], axis=0))

    def _ratio(self, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(np.exp(log_odds) * self.prior, 1 / self.clip, self.clip)

    def state(self) -> State:
        """Plain scalars and arrays, for a checkpoint."""
        trees = [np.frombuffer(b.save_raw("ubj"), dtype=np.uint8).copy() for b in self.boosters]
        return {"clip": self.clip, "folds": self.folds, "seed": self.seed, "prior": self.prior, "trees": trees}

    @classmethod
    def from_state(cls, state: State) -> "DensityRatio":
        """Inverse of `state`."""
        new = cls(state["clip"], state["folds"], state["seed"])  # type: ignore[arg-type]
        new.prior = state["prior"]  # type: ignore[assignment]
        for trees in state["trees"]:  # type: ignore[attr-defined]
            booster = xgb.Booster({"nthread": 1})
            booster.load_model(bytearray(np.asarray(trees).tobytes()))
            new.boosters.append(booster)
        return new
