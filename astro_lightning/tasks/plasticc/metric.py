"""The weighted log loss of PLAsTiCC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from astro_lightning.core.metrics import probabilities
from astro_lightning.data.errors import BadInput

DOUBLE_WEIGHT = frozenset({"15", "64", "99"})
SMALLEST_PROBABILITY = 1e-15


def weighted_log_loss(probability: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> float:
    """Log loss averaged within each class, then over the classes with weight 2 for 15, 64 and 99 and 1 for all others.

    Rows are normalised to 1, then clipped at 1e-15. Classes without objects in `target` count in neither sum
    (Malz 2019, arXiv:1809.11145).

    Args:
        probability: (N, K) non-negative.
        target: (N,) index of the true class in `classes`.
        classes: K class names, those of PLAsTiCC as `"90"`.

    Raises:
        BadInput: shapes do not agree, there is no object, or a row is negative, not finite or all zero.
    """
    probability, target = np.asarray(probability, dtype=np.float64), np.asarray(target)
    if probability.shape != (len(target), len(classes)) or not len(target):
        raise BadInput(
            f"probability: shape {probability.shape} is not ({len(target)} > 0 objects, {len(classes)} classes)"
        )
    if not 0 <= target.min() <= target.max() < len(classes):
        raise BadInput(f"target: {target.min()}..{target.max()} is not an index into {len(classes)} classes")
    total = probability.sum(axis=1)
    bad = ~np.isfinite(total) | (probability < 0).any(axis=1) | (total <= 0)
    if bad.any():
        raise BadInput(
            f"probability: row {int(bad.argmax())} is negative, not finite or all zero; check the network's output"
        )
    true_class = probability[np.arange(len(target)), target] / total
    log_p = np.log(np.clip(true_class, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    count = np.bincount(target, minlength=len(classes))
    present = count > 0
    mean_log_p = np.bincount(target, weights=log_p, minlength=len(classes))[present] / count[present]
    weight = np.array([2.0 if str(name) in DOUBLE_WEIGHT else 1.0 for name in classes])[present]
    return float(-(weight * mean_log_p).sum() / weight.sum())


def contest_metrics(predictions: pa.Table, classes: Sequence[str]) -> dict[str, float]:
    """`weighted_log_loss` of the labelled rows where the classes are PLAsTiCC's targets; else nothing.

    With an unknown class in the test (labels that are not among the classes) its objects count as class 99.

    Args:
        predictions: Columns `label`, `prob_<class>` and, where a calibration gave it, `prob_99`.
        classes: Names of the known classes.
    """
    labels = np.array(predictions["label"].to_pylist(), dtype=object)
    known = np.isin(labels, list(classes))
    strange = predictions["label"].is_valid().to_numpy() & ~known
    if not known.any() or not all(name.isdigit() for name in classes):
        return {}
    probability, names = probabilities(predictions, classes), list(classes)
    if strange.any() and "prob_99" in predictions.column_names:
        probability = np.column_stack([probability, predictions["prob_99"].to_numpy()])
        names, known = [*names, "99"], known | strange
    target = np.array([names.index(label) if label in names else len(names) - 1 for label in labels[known]])
    return {"weighted_log_loss": weighted_log_loss(probability[known], target, names)}
