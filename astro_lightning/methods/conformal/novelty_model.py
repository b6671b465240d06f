"""The novelty scores of one fold: energy of the logits, distances in the embedding, and what the task itself measures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astro_lightning.core.calibration import Evidence
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.novelty import KNearest, Mahalanobis, energy
from astro_lightning.methods.conformal.ranks import State
from astro_lightning.methods.conformal.space import NormalSpace

SCORES = ("energy", "knn", "mahalanobis", "novelty")
LEAST = -1e300  # rank of an object of which the task does not know its novelty: nothing speaks against it


class NoveltyModel:
    """Scores by name, larger = more novel; the softmax takes no part.

    Args:
        n_component: principal components of the embedding in which distances are taken.
        names: any of `energy`, `knn` (distance to neighbours), `mahalanobis` (distance to the nearest class under its own
            covariance), and `novelty` (the task's column of that name).

    Raises:
        BadInput: a name is none of these, or none is given.
    """

    def __init__(self, n_component: int = 20, names: Sequence[str] = ("energy", "knn")) -> None:
        unknown = [name for name in names if name not in SCORES]
        if unknown or not names:
            raise BadInput(
                f"novelty score '{(unknown or ['nothing'])[0]}' is not known: choose any of {', '.join(SCORES)}"
            )
        self.n_component, self.names = n_component, list(names)
        self.space: NormalSpace | None = None
        self.distances: dict[str, KNearest | Mahalanobis] = {}

    def fit(self, train: Evidence) -> "NoveltyModel":
        """Keep what the distances need of the training objects; without an embedding there are none."""
        if train.embedding is not None and {"knn", "mahalanobis"} & set(self.names):
            self.space = NormalSpace(self.n_component).fit(train.embedding)
            low = self.space.transform(train.embedding)
            if "knn" in self.names:
                self.distances["knn"] = KNearest().fit(low)
            if "mahalanobis" in self.names:
                self.distances["mahalanobis"] = Mahalanobis().fit(low, train.label)
        return self

    def scores(self, objects: Evidence) -> dict[str, NDArray[np.float64]]:
        """Those of the names that can be had, each (objects,).

        Raises:
            BadInput: the task writes no column `novelty`, or no score can be had.
        """
        found = {"energy": energy(objects.logits)} if "energy" in self.names else {}
        if self.space is not None and objects.embedding is not None:
            low = self.space.transform(objects.embedding)
            found |= {name: distance.score(low) for name, distance in self.distances.items()}
        if "novelty" in self.names:
            if "novelty" not in objects.own:
                raise BadInput("task.calibrator.scores names novelty, but the task's model writes no such column")
            found["novelty"] = np.nan_to_num(objects.own["novelty"].astype(np.float64), nan=LEAST)
        if not found:
            raise BadInput(
                f"task.calibrator.scores={self.names} needs an embedding, which the task has not: add energy"
            )
        return found

    def state(self) -> State:
        """Plain scalars and arrays, for a checkpoint."""
        space = {"space": self.space.state()} if self.space else {}
        distances = {name: distance.state() for name, distance in self.distances.items()}
        return {"n_component": self.n_component, "names": self.names, "distances": distances} | space

    @classmethod
    def from_state(cls, state: State) -> "NoveltyModel":
        """Inverse of `state`."""
        new = cls(state["n_component"], state["names"])  # type: ignore[arg-type]
        kinds: dict[str, type[KNearest] | type[Mahalanobis]] = {"knn": KNearest, "mahalanobis": Mahalanobis}
        new.distances = {n: kinds[n].from_state(s) for n, s in state["distances"].items()}  # type: ignore[attr-defined]
        if "space" in state:
            new.space = NormalSpace.from_state(state["space"])  # type: ignore[arg-type]
        return new
