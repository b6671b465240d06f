"""The columns a user reads: probability and p-value per class, prediction set, unknown-class p-value and flag."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from astro_lightning.data.errors import BadInput

BINS = 20


def unknown_probability(p: ArrayLike) -> NDArray[np.float64]:
    """Probability that each object of a batch belongs to no known class, from its p-values: 1 - local FDR.

    p-values of known objects are uniform; what exceeds that is unknown. The density of the batch's p-values is a
    decreasing histogram (Grenander 1956), the known share the upper half's density (Storey 2002). A batch of fewer than
    about 100 objects says little.

    Args:
        p: shape (objects,), in (0, 1].

    Returns:
        Shape (objects,), in [0, 1], non-increasing in p.
    """
    v = np.asarray(p, dtype=np.float64)
    if not len(v):
        return np.zeros(0)
    # p-values pile up just above a bin's lower edge (1/(n+1) steps), so bins are open on the left
    index = np.clip(np.ceil(v * BINS).astype(int) - 1, 0, BINS - 1)
    density = np.bincount(index, minlength=BINS) * BINS / len(v)
    density = IsotonicRegression(increasing=False).fit_transform(np.arange(BINS), density)
    known = min(1.0, density[BINS // 2 :].mean())
    return np.clip(1 - known / np.maximum(density[index], 1e-12), 0, 1)


def unknown_column(classes: Sequence[str]) -> str:
    """Name of the column of the unknown class's probability: `prob_99` beside PLAsTiCC's target numbers."""
    return "prob_99" if all(str(name).isdigit() for name in classes) else "unknown_probability"


def set_column(classes: Sequence[str], member: ArrayLike) -> pa.Array:
    """Prediction sets as lists of names.

    Args:
        classes: class names.
        member: shape (objects, classes), bool.

    Raises:
        BadInput: shapes that differ.
    """
    m = np.asarray(member, dtype=bool)
    if m.ndim != 2 or m.shape[1] != len(classes):
        raise BadInput(f"sets {m.shape} must be (objects, {len(classes)})")
    # one list of names for each distinct set, not for each object
    code, index = np.unique(m, axis=0, return_inverse=True)
    names = [[str(c) for c, inside in zip(classes, row) if inside] for row in code]
    return pa.array(names, pa.list_(pa.string())).take(pa.array(index.ravel()))


def contest_prob(prob: ArrayLike, prob_99: ArrayLike) -> NDArray[np.float64]:
    """Rows of the contest's table: known classes, then class 99; rows sum to 1.

    Args:
        prob: probabilities among known classes, shape (objects, classes).
        prob_99: probability of the unknown class, shape (objects,).
    """
    unknown = np.asarray(prob_99, dtype=np.float64)[:, None]
    return np.hstack([np.asarray(prob, dtype=np.float64) * (1 - unknown), unknown])
