"""Cross-conformal classification: every labelled object calibrates, for classes too rare to split."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import State, pooled_p_values
from astro_lightning.methods.conformal.split import SplitConformal, warn_of_alpha


class CrossConformal:
    """Pools the ranks of K folds, each under the model that did not see it (Vovk 2015, Ann. Math. AI 74, 9).

    p_k = (1 + sum over folds of #{i in class k of the fold: s_i >= s_fold(x)}) / (n_k + 1). The guarantee is coverage
    >= 1 - 2 alpha - 2 (1 - alpha) (K - 1) / (n_k + K) (Barber et al. 2021, Ann. Stat. 49, 486; nothing for a class of a few
    objects); in practice about 1 - alpha. One fold is `SplitConformal`.

    Args:
        classes: class names, in the order of the probability columns.
        **options: of `SplitConformal`; with `cluster` the folds together have `min_count` objects for a class.

    Raises:
        BadInput: `randomised`, which folds do not allow, or what `SplitConformal` refuses.
    """

    def __init__(self, classes: Sequence[str], **options: object) -> None:
        if options.get("randomised"):
            raise BadInput("cross-conformal is not randomised: use SplitConformal")
        SplitConformal(classes, **options)  # type: ignore[arg-type]  # says what it cannot be before anything is trained
        self.classes, self.options = list(classes), options
        self.folds: list[SplitConformal] = []

    def fit(
        self, probs: Sequence[ArrayLike], labels: Sequence[ArrayLike], weights: Sequence[ArrayLike] | None = None
    ) -> "CrossConformal":
        """Take the out-of-fold probabilities, labels and, under a covariate shift, weights; one entry per fold."""
        options = dict(self.options)
        if "min_count" in options:
            options["min_count"] = math.ceil(float(options["min_count"]) / len(probs))  # type: ignore[arg-type]
        each = [None] * len(probs) if weights is None else weights
        self.folds = [
            SplitConformal(self.classes, **options).fit(p, y, w)  # type: ignore[arg-type]
            for p, y, w in zip(probs, labels, each, strict=True)
        ]
        return self

    def p_values(
        self, probs: Sequence[ArrayLike], weight: ArrayLike | None = None, folds: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """p-value of every class, shape (objects, classes).

        Args:
            probs: probabilities of the new objects under each fold's model, in the order of `folds`.
            weight: density-ratio weights of the new objects where the calibration was weighted.
            folds: whose calibration objects to compare with; None = all, in the order of `fit`.

        Raises:
            BadInput: not one table per fold.
        """
        used = [self.folds[f] for f in (range(len(self.folds)) if folds is None else folds)]
        if len(probs) != len(used):
            raise BadInput(f"{len(probs)} probability tables for {len(used)} folds: give one per fold's model")
        scores = [fold.scores_of(p, 0) for fold, p in zip(used, probs, strict=True)]
        columns = [
            pooled_p_values([f.tables[f.table_of[k]] for f in used], [s[:, k] for s in scores], weight)
            for k in range(len(self.classes))
        ]
        return np.column_stack(columns)

    def smallest_alpha(self) -> dict[str, float]:
        """Per class the smallest alpha at which a set can ever leave it out."""
        mass = np.sum([[f.tables[t].above[0] for t in f.table_of] for f in self.folds], axis=0)
        return dict(zip(self.classes, (1 / (mass + 1)).tolist()))

    def check_alpha(self, alpha: float) -> None:
        """Warn (`TooFewObjects`) naming the classes that every set contains at this alpha."""
        warn_of_alpha(alpha, self.smallest_alpha())

    def state(self) -> State:
        """Plain scalars, lists and arrays, for a checkpoint."""
        return {"classes": self.classes, "options": self.options, "folds": [f.state() for f in self.folds]}

    @classmethod
    def from_state(cls, state: State) -> "CrossConformal":
        """Inverse of `state`."""
        new = cls(state["classes"], **state["options"])  # type: ignore[arg-type]
        new.folds = [SplitConformal.from_state(f) for f in state["folds"]]  # type: ignore[attr-defined]
        return new
