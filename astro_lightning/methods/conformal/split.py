"""Split conformal classification: p-value per class, prediction set at any alpha."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal import pooling
from astro_lightning.methods.conformal.ranks import Ranks, State
from astro_lightning.methods.conformal.scores import ScoreName, nonconformity


class TooFewObjects(UserWarning):
    """A class has too few calibration objects for the alpha asked for."""


class SplitConformal:
    """p-values and prediction sets with finite-sample coverage on exchangeable data.

    Args:
        classes: class names, in the order of the probability columns.
        score: `lac` (smallest sets), `aps` or `raps` (coverage that adapts to the object).
        conditional: `class` (Mondrian, coverage in each class), `marginal`, or `cluster` (class, rare ones borrow).
        min_count: with `cluster`, calibration objects below which a class borrows.
        randomised: break ties and APS steps at random, so that coverage is 1 - alpha exactly instead of at least.
        seed: of the randomisation.
        penalty: RAPS penalty per rank.
        free: RAPS ranks without penalty.
    """

    def __init__(
        self,
        classes: Sequence[str],
        score: ScoreName = "lac",
        conditional: Literal["class", "marginal", "cluster"] = "class",
        min_count: int = 19,
        randomised: bool = False,
        seed: int = 0,
        penalty: float = 0.01,
        free: int = 2,
    ) -> None:
        if conditional not in ("class", "marginal", "cluster"):
            raise BadInput(f"conditional='{conditional}' is not known: choose class, marginal or cluster")
        if score not in get_args(ScoreName):
            raise BadInput(f"conformal score '{score}' is not known: choose {', '.join(get_args(ScoreName))}")
        self.classes = list(classes)
        self.score: ScoreName = score
        self.conditional = conditional
        self.min_count, self.randomised, self.seed = min_count, randomised, seed
        self.penalty, self.free = penalty, free
        self.tables: list[Ranks] = []
        self.table_of = np.zeros(0, np.int64)

    def fit(self, prob: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> "SplitConformal":
        """Take the scores of the calibration set.

        Args:
            prob: shape (objects, classes); objects must not have been used for training, stopping or temperature.
            label: class indices, shape (objects,).
            weight: density-ratio weights of a covariate shift, shape (objects,).

        Raises:
            BadInput: shapes, labels or weights that do not fit the classes.
        """
        y, k = np.asarray(label), len(self.classes)
        scores = self.scores_of(prob, self.seed)
        # not the names, and no fractions: they would fall into no class, of which every p-value is then 1
        indices = y.dtype.kind in "iufb" and np.isin(y, np.arange(k)).all()
        if y.shape != scores.shape[:1] or not (indices or not y.size):
            raise BadInput(f"calibration labels must be {len(scores)} class indices from 0 to {k - 1}")
        own = scores[np.arange(len(y)), y.astype(np.int64)]
        if self.conditional == "cluster":
            pool = pooling.clustered(own, y.astype(np.int64), k, self.min_count)
        else:
            pool = pooling.mondrian(k) if self.conditional == "class" else pooling.marginal(k)
        rows, self.table_of = np.unique(pool, axis=0, return_inverse=True)
        self.table_of = self.table_of.ravel()
        w = None if weight is None else np.asarray(weight, dtype=np.float64)
        if w is not None and w.shape != y.shape:
            raise BadInput(f"calibration weights have shape {w.shape}: expected {y.shape}, one per object")
        masks = [np.isin(y, np.flatnonzero(row)) for row in rows]
        self.tables = [Ranks(own[m], None if w is None else w[m]) for m in masks]
        return self

    def scores_of(self, prob: ArrayLike, seed: int) -> NDArray[np.float64]:
        """Scores of every class, shape (objects, classes)."""
        if np.ndim(prob) != 2 or np.shape(prob)[1] != len(self.classes):
            raise BadInput(f"probabilities have shape {np.shape(prob)}: expected (objects, {len(self.classes)})")
        u = np.random.default_rng([seed, 1]).random(np.shape(prob)[0]) if self.randomised else None
        return nonconformity(prob, self.score, u, self.penalty, self.free)

    def p_values(self, prob: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
        """p-value of every class, shape (objects, classes), in (0, 1].

        Args:
            prob: shape (objects, classes).
            weight: density-ratio weights of the objects where the calibration was weighted.

        Raises:
            BadInput: nothing was fitted, or probabilities of another shape.
        """
        if not self.tables:
            raise BadInput("there are no calibration scores yet: call fit first")
        scores = self.scores_of(prob, self.seed + 1)
        u = None if not self.randomised else 1 - np.random.default_rng([self.seed, 2]).random(scores.shape)
        columns = [
            self.tables[t].p_values(scores[:, k], weight, None if u is None else u[:, k])
            for k, t in enumerate(self.table_of)
        ]
        return np.column_stack(columns)

    def sets(self, prob: ArrayLike, alpha: float, weight: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Prediction sets: member (object, class) where p > alpha; warns where alpha cannot hold usefully."""
        self.check_alpha(alpha)
        return self.p_values(prob, weight) > alpha

    def smallest_alpha(self) -> dict[str, float]:
        """Per class the smallest alpha at which a set can ever leave it out, 1/(n_k + 1)."""
        return {name: float(self.tables[t].smallest_p) for name, t in zip(self.classes, self.table_of)}

    def check_alpha(self, alpha: float) -> None:
        """Warn (`TooFewObjects`) naming the classes that every set contains at this alpha.

        Raises:
            BadInput: alpha outside (0, 1).
        """
        warn_of_alpha(alpha, {} if self.randomised else self.smallest_alpha())

    def state(self) -> State:
        """Plain scalars, lists and arrays, for a checkpoint."""
        names = ("classes", "score", "conditional", "min_count", "randomised", "seed", "penalty", "free")
        tables = [t.state() for t in self.tables]
        return {n: getattr(self, n) for n in names} | {"table_of": self.table_of.tolist(), "tables": tables}

    @classmethod
    def from_state(cls, state: State) -> "SplitConformal":
        """Inverse of `state`."""
        rest = dict(state)
        table_of, tables = rest.pop("table_of"), rest.pop("tables")
        new = cls(**rest)  # type: ignore[arg-type]
        new.table_of, new.tables = np.asarray(table_of, np.int64), [Ranks.from_state(t) for t in tables]  # type: ignore[attr-defined]
        return new


def warn_of_alpha(alpha: float, smallest: Mapping[str, float]) -> None:
    """Warn (`TooFewObjects`) naming the classes that every set contains at this alpha.

    Args:
        alpha: share of sets that may miss the true class.
        smallest: class -> smallest alpha at which a set can leave it out.

    Raises:
        BadInput: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise BadInput(f"alpha is {alpha}: give a number between 0 and 1")
    short = {name: a for name, a in smallest.items() if a > alpha}
    if short:
        needed = math.ceil(1 / alpha - 1e-9) - 1
        named = ", ".join(f"{name} {a:.3g}" for name, a in short.items())
        warnings.warn(
            f"at alpha={alpha} every set contains these classes; smallest alpha that can hold: {named}. "
            f"A class needs {needed} calibration objects: use conditional='cluster' or cross-conformal",
            TooFewObjects,
            stacklevel=3,
        )
