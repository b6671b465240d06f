"""The whole of it for one model: temperature, class p-values, unknown-class p-values, flags."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.combine import RankCombination
from astro_lightning.methods.conformal.contrast import batch_contrast
from astro_lightning.methods.conformal.fdr import benjamini_hochberg
from astro_lightning.methods.conformal.novelty import KNearest, energy
from astro_lightning.methods.conformal.output import result_table
from astro_lightning.methods.conformal.ranks import Ranks, State
from astro_lightning.methods.conformal.space import NormalSpace
from astro_lightning.methods.conformal.split import SplitConformal
from astro_lightning.methods.conformal.temperature import fit_temperature, scale


@dataclass
class Scored:
    """What a model says about some objects.

    Attributes:
        logits: shape (objects, classes), not normalised.
        embedding: learned embedding or hand features, shape (objects, dimensions); NaN = not known.
        label: class indices, shape (objects,); None where not known.
        extra: further novelty scores by name, each (objects,), larger = more novel: reconstruction NLL, for one.
    """

    logits: ArrayLike
    embedding: ArrayLike
    label: ArrayLike | None = None
    extra: dict[str, ArrayLike] | None = None


class ConformalPredictor:
    """Probabilities, sets and unknown-class flags of a classifier with an embedding.

    The novelty score is energy and nearest-neighbour distance (and `extra` scores), combined through their ranks.

    Args:
        classes: class names, in the order of the logits.
        combination: `fisher` or `cauchy`.
        n_component: principal components of the embedding in which distances are taken.
        **options: of `SplitConformal`.
    """

    def __init__(
        self, classes: Sequence[str], combination: str = "fisher", n_component: int = 20, **options: object
    ) -> None:
        self.conformal = SplitConformal(classes, **options)  # type: ignore[arg-type]
        self.combination = RankCombination(combination)  # type: ignore[arg-type]
        self.n_component = n_component

    def fit(self, train: Scored, stop: Scored, calibration: Scored) -> "ConformalPredictor":
        """Fit on three disjoint sets of known objects: neighbours; temperature and ranks; p-values.

        Raises:
            BadInput: stop or calibration without labels.
        """
        if stop.label is None or calibration.label is None:
            raise BadInput("the early-stop and calibration sets need labels")
        self.temperature = fit_temperature(stop.logits, stop.label)
        self.conformal.fit(scale(calibration.logits, self.temperature), calibration.label)
        self.space = NormalSpace(self.n_component).fit(train.embedding)
        self.neighbours = KNearest().fit(self.space.transform(train.embedding))
        self.combination.fit(self.scores(stop))
        self.calibration_novelty = self.novelty(calibration)
        self.train_embedding = np.asarray(train.embedding, dtype=np.float32)
        self.calibration_embedding = np.asarray(calibration.embedding, dtype=np.float32)
        return self

    def scores(self, objects: Scored) -> dict[str, NDArray[np.float64]]:
        """Each novelty score by name."""
        near = self.neighbours.score(self.space.transform(objects.embedding))
        extra = {k: np.asarray(v, dtype=np.float64) for k, v in (objects.extra or {}).items()}
        return {"energy": energy(np.asarray(objects.logits) / self.temperature), "knn": near} | extra

    def novelty(self, objects: Scored) -> NDArray[np.float64]:
        """Combined novelty score, shape (objects,)."""
        return self.combination.score(self.scores(objects))

    def ood_p(self, objects: Scored, contrast: bool = False) -> NDArray[np.float64]:
        """p-value of belonging to the known classes, shape (objects,).

        Args:
            objects: the batch.
            contrast: also learn from the batch what sets it apart (`batch_contrast`); the training embedding must then
                be hand features or out of fold, and training and survey alike but for the unknown.
        """
        cal, new = self.calibration_novelty, self.novelty(objects)
        if contrast and len(new):
            learned = batch_contrast(self.train_embedding, self.calibration_embedding, objects.embedding)
            both = RankCombination("fisher").fit({"a": np.append(cal, new), "b": np.concatenate(learned)})
            cal, new = (both.score({"a": a, "b": b}) for a, b in zip((cal, new), learned))
        return Ranks(cal).p_values(new)

    def predict(
        self,
        objects: Scored,
        alpha: float = 0.1,
        q: float = 0.1,
        contrast: bool = False,
        prior_unknown: float | None = None,
    ) -> pd.DataFrame:
        """Table of `result_table` for a batch: sets at level 1 - alpha, flags at false discovery rate q."""
        prob = scale(objects.logits, self.temperature)
        p = self.conformal.p_values(prob)
        self.conformal.check_alpha(alpha)
        unknown = self.ood_p(objects, contrast)
        flag = benjamini_hochberg(unknown, q, len(self.calibration_novelty))
        return result_table(self.conformal.classes, prob, p, p > alpha, unknown, flag, prior_unknown)

    def state(self) -> State:
        """Plain scalars, lists, dicts and arrays, for a checkpoint."""
        parts = {k: getattr(self, k).state() for k in ("conformal", "combination", "space", "neighbours")}
        arrays = {k: getattr(self, k) for k in ("calibration_novelty", "train_embedding", "calibration_embedding")}
        return parts | arrays | {"temperature": self.temperature, "n_component": self.n_component}

    @classmethod
    def from_state(cls, state: State) -> "ConformalPredictor":
        """Inverse of `state`; arrays may be NumPy arrays or tensors."""
        conformal = SplitConformal.from_state(state["conformal"])  # type: ignore[arg-type]
        new = cls(conformal.classes, n_component=int(state["n_component"]))  # type: ignore[call-overload]
        new.conformal, new.temperature = conformal, float(state["temperature"])  # type: ignore[arg-type]
        new.combination = RankCombination.from_state(state["combination"])  # type: ignore[arg-type]
        new.space = NormalSpace.from_state(state["space"])  # type: ignore[arg-type]
        new.neighbours = KNearest.from_state(state["neighbours"])  # type: ignore[arg-type]
        for k in ("calibration_novelty", "train_embedding", "calibration_embedding"):
            setattr(new, k, np.asarray(state[k]))
        return new
