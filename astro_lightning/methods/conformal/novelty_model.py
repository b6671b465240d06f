"""The novelty score of one fold: energy of the logits and distance to neighbours in the embedding."""

import numpy as np
from numpy.typing import NDArray

from astro_lightning.core.calibration import Evidence
from astro_lightning.methods.conformal.novelty import KNearest, energy
from astro_lightning.methods.conformal.ranks import State
from astro_lightning.methods.conformal.space import NormalSpace


class NoveltyModel:
    """Scores by name, larger = more novel; the softmax takes no part.

    Args:
        n_component: principal components of the embedding in which distances are taken.
    """

    def __init__(self, n_component: int = 20) -> None:
        self.n_component = n_component
        self.space: NormalSpace | None = None
        self.neighbours: KNearest | None = None

    def fit(self, train: Evidence) -> "NoveltyModel":
        """Keep the embedding of the training objects; without one, energy is the only score."""
        if train.embedding is not None:
            self.space = NormalSpace(self.n_component).fit(train.embedding)
            self.neighbours = KNearest().fit(self.space.transform(train.embedding))
        return self

    def scores(self, objects: Evidence) -> dict[str, NDArray[np.float64]]:
        """`energy` and `knn`, each (objects,)."""
        found = {"energy": energy(objects.logits)}
        if self.space is not None and self.neighbours is not None and objects.embedding is not None:
            found["knn"] = self.neighbours.score(self.space.transform(objects.embedding))
        return found

    def state(self) -> State:
        """Plain scalars and arrays, for a checkpoint."""
        parts = {"space": self.space, "neighbours": self.neighbours}
        return {"n_component": self.n_component} | {name: part.state() for name, part in parts.items() if part}

    @classmethod
    def from_state(cls, state: State) -> "NoveltyModel":
        """Inverse of `state`."""
        new = cls(int(state["n_component"]))  # type: ignore[call-overload]
        if "space" in state:
            new.space = NormalSpace.from_state(state["space"])  # type: ignore[arg-type]
            new.neighbours = KNearest.from_state(state["neighbours"])  # type: ignore[arg-type]
        return new
