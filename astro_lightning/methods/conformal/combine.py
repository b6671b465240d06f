"""Several novelty scores in one, through their ranks among known objects."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import Ranks, State


class RankCombination:
    """Rank p-value of each score among known objects, combined; larger = more novel.

    The combination is itself only a score: its p-value comes from a calibration set that was not used here (or, on a
    batch and its calibration set together, from a fit that treats both alike).

    Args:
        method: `fisher` (-sum log p; all scores add up) or `cauchy` (sum tan((1/2 - p) pi), Liu & Xie 2020; one score
            suffices).
    """

    def __init__(self, method: Literal["fisher", "cauchy"] = "fisher") -> None:
        if method not in ("fisher", "cauchy"):
            raise BadInput(f"combination '{method}' is not known: choose fisher or cauchy")
        self.method: Literal["fisher", "cauchy"] = method
        self.ranks: dict[str, Ranks] = {}

    def fit(self, scores: Mapping[str, ArrayLike]) -> "RankCombination":
        """Take each score of known objects, shape (objects,), from a split of its own."""
        self.ranks = {name: Ranks(s) for name, s in scores.items()}
        return self

    def score(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Novelty, shape (objects,).

        Raises:
            BadInput: a score of the fit is missing, or one is unknown to it.
        """
        if set(scores) != set(self.ranks):
            raise BadInput(f"novelty scores {sorted(scores)} differ from those of the fit {sorted(self.ranks)}")
        p = np.array([self.ranks[name].p_values(s) for name, s in scores.items()])
        if self.method == "fisher":
            return -np.log(p).sum(axis=0)
        return np.tan((0.5 - np.minimum(p, 1 - 1e-9)) * np.pi).sum(axis=0)

    def state(self) -> State:
        """Plain arrays, for a checkpoint."""
        return {"method": self.method, "ranks": {name: r.state() for name, r in self.ranks.items()}}

    @classmethod
    def from_state(cls, state: State) -> "RankCombination":
        """Inverse of `state`."""
        new = cls(state["method"])  # type: ignore[arg-type]
        new.ranks = {name: Ranks.from_state(r) for name, r in state["ranks"].items()}  # type: ignore[attr-defined]
        return new
