"""Several novelty scores in one, through their ranks among known objects."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import Ranks, State


class RankCombination:
    """Rank p-value of each score among known objects, combined (Fisher's -sum log p); larger = more novel.

    The combination is itself only a score: its p-value comes from a calibration set that was not used here (or, on a
    batch and its calibration set together, from a fit that treats both alike).
    """

    def __init__(self) -> None:
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
        return -np.log([self.ranks[name].p_values(s) for name, s in scores.items()]).sum(axis=0)

    def state(self) -> State:
        """Plain arrays, for a checkpoint."""
        return {"ranks": {name: r.state() for name, r in self.ranks.items()}}

    @classmethod
    def from_state(cls, state: State) -> "RankCombination":
        """Inverse of `state`."""
        new = cls()
        new.ranks = {name: Ranks.from_state(r) for name, r in state["ranks"].items()}  # type: ignore[attr-defined]
        return new
