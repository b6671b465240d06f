"""Cross-conformal classification: every labelled object calibrates, for classes too rare to split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.ranks import State
from astro_lightning.methods.conformal.split import SplitConformal


class CrossConformal:
    """Pools the ranks of K folds, each under the model that did not see it (Vovk 2015, Ann. Math. AI 74, 9).

    p_k = (1 + sum over folds of #{i in class k of the fold: s_i >= s_fold(x)}) / (n_k + 1). The guarantee is coverage
    >= 1 - 2 alpha (Barber et al. 2021 for the same construction); in practice about 1 - alpha.

    Args:
        classes: class names, in the order of the probability columns.
        **options: of `SplitConformal`; `cluster` and `randomised` are not meant for folds.

    Raises:
        BadInput: an option that folds do not allow.
    """

    def __init__(self, classes: Sequence[str], **options: object) -> None:
        if options.get("conditional") == "cluster" or options.get("randomised"):
            raise BadInput("cross-conformal takes conditional=class or marginal, not randomised: use SplitConformal")
        self.classes, self.options = list(classes), options
        self.folds: list[SplitConformal] = []

    def fit(self, probs: Sequence[ArrayLike], labels: Sequence[ArrayLike]) -> "CrossConformal":
        """Take the out-of-fold probabilities and labels, one entry per fold."""
        self.folds = [SplitConformal(self.classes, **self.options).fit(p, y) for p, y in zip(probs, labels)]  # type: ignore[arg-type]
        return self

    def p_values(self, probs: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """p-value of every class, shape (objects, classes).

        Args:
            probs: probabilities of the new objects under each fold's model, in the order of `fit`.

        Raises:
            BadInput: not one table per fold.
        """
        if len(probs) != len(self.folds):
            raise BadInput(f"{len(probs)} probability tables for {len(self.folds)} folds: give one per fold's model")
        size = [np.array([f.tables[t].n for t in f.table_of]) for f in self.folds]
        # each fold's p times (n + 1) is 1 + its count
        count = sum(f.p_values(p) * (n + 1) - 1 for f, p, n in zip(self.folds, probs, size))
        return (np.round(count) + 1) / (sum(size) + 1)

    def smallest_alpha(self) -> dict[str, float]:
        """Per class the smallest alpha at which a set can ever leave it out."""
        size = np.sum([[f.tables[t].n for t in f.table_of] for f in self.folds], axis=0)
        return dict(zip(self.classes, (1 / (size + 1)).tolist()))

    def state(self) -> State:
        """Plain scalars, lists and arrays, for a checkpoint."""
        return {"classes": self.classes, "options": self.options, "folds": [f.state() for f in self.folds]}

    @classmethod
    def from_state(cls, state: State) -> "CrossConformal":
        """Inverse of `state`."""
        new = cls(state["classes"], **state["options"])  # type: ignore[arg-type]
        new.folds = [SplitConformal.from_state(f) for f in state["folds"]]  # type: ignore[attr-defined]
        return new
