"""The scored test split: labels and class probabilities as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.core.metrics import members
from astro_lightning.data.tables import read_table

_PROB, _P_VALUE, _TRUTH = "prob_", "p_", "truth_"
_UNKNOWN = "99"  # beside an `ood_p` the contest's name of all unknown kinds, which no network was trained on


@dataclass(frozen=True)
class Predictions:
    """One row per object of the test split.

    Attributes:
        classes: Class names in the order of the probability columns, C of them.
        probabilities: (rows, C) as written by the run.
        truth: (rows,) class number; -1 where the object has no label, -2 where its label is not among `classes`.
        labels: (rows,) label as text, or None.
        ids: (rows,) the input's own identifiers.
        groups: (rows,) what belongs together in a resample, or None.
        p_values: (rows, C) conformal p-values, NaN for a class without one; None where the run made none.
        ood_p: (rows,) p-values of belonging to a known class; None where the run made none.
        sets: (rows, C) bool, the classes in each object's prediction set; None where the run made none.
        flagged: (rows,) bool, taken for an unknown kind; None where the run flags none.
        counted: (rows,) false where the task keeps an object out of its metrics; None where it keeps none out.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    truth: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    groups: np.ndarray | None = None
    p_values: np.ndarray | None = None
    ood_p: np.ndarray | None = None
    sets: np.ndarray | None = None
    flagged: np.ndarray | None = None
    counted: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        """(rows,) number of the most probable class."""
        return np.where(np.isnan(self.probabilities), -np.inf, self.probabilities).argmax(axis=1)

    @property
    def usable(self) -> np.ndarray:
        """(rows,) True where a label among the classes and finite probabilities exist and the task counts it: what is scored."""
        counted = True if self.counted is None else self.counted
        return (self.truth >= 0) & np.isfinite(self.probabilities).all(axis=1) & counted

    def scored(self) -> "Predictions":
        """The rows that can be scored."""
        keep = self.usable
        return Predictions(
            self.classes,
            self.probabilities[keep],
            self.truth[keep],
            self.labels[keep],
            self.ids[keep],
            None if self.groups is None else self.groups[keep],
            None if self.p_values is None else self.p_values[keep],
            None if self.ood_p is None else self.ood_p[keep],
            None if self.sets is None else self.sets[keep],
            None if self.flagged is None else self.flagged[keep],
        )


def read_predictions(path: Path) -> Predictions | None:
    """Read a table of `id`, `label`, `prob_<class>` columns; rows of other splits than `test` are left out.

    A column `prob_<label>` beside a `truth_<label>` is a label that may hold together with others (`report.labels`).

    Returns:
        None where there is no class: such labels alone, or numbers of another kind.
    """
    table = read_table(path)
    names = table.column_names
    classes = tuple(
        name.removeprefix(_PROB)
        for name in names
        if name.startswith(_PROB) and _TRUTH + name.removeprefix(_PROB) not in names
    )
    if "ood_p" in names:
        classes = tuple(name for name in classes if name != _UNKNOWN)
    if not classes:
        return None
    if "split" in names:
        table = table.filter(pc.fill_null(pc.equal(table["split"].cast(pa.string()), "test"), False))
    labels = table["label"].cast(pa.string()) if "label" in names else pa.nulls(len(table), pa.string())
    code = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
    p_values = None
    if any(_P_VALUE + name in names for name in classes):
        p_values = _matrix(table, [_P_VALUE + name for name in classes])
    return Predictions(
        classes=classes,
        probabilities=_matrix(table, [_PROB + name for name in classes]),
        truth=np.where(_numpy(labels.is_valid()), _numpy(pc.fill_null(code, -2)), -1).astype(np.int64),
        labels=_numpy(labels),
        ids=_numpy(table["id"]) if "id" in names else np.arange(len(table)),
        groups=_numpy(table["group"]) if "group" in names else None,
        p_values=p_values,
        ood_p=_numpy(table["ood_p"]) if "ood_p" in names else None,
        sets=members(table["set"], classes) if "set" in names else None,
        flagged=_numpy(table["ood_flag"]) if "ood_flag" in names else None,
        counted=_numpy(table["counted"]) if "counted" in names else None,
    )


def _matrix(table: pa.Table, names: list[str]) -> np.ndarray:
    matrix = np.full((len(table), len(names)), np.nan)
    for i, name in enumerate(names):
        if name in table.column_names:
            matrix[:, i] = _numpy(table[name].cast(pa.float64()))
    return matrix


def _numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.to_numpy(zero_copy_only=False)
