"""Test metrics of a classifier from its table of predictions."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score


def probabilities(predictions: pa.Table, classes: Sequence[str]) -> np.ndarray:
    """The `prob_<class>` columns as an array of shape (n, n_classes)."""
    return np.column_stack([predictions[f"prob_{name}"].to_numpy() for name in classes]).astype(np.float64)


def members(sets: pa.Array | pa.ChunkedArray, classes: Sequence[str]) -> np.ndarray:
    """Prediction sets, lists of names, as bool (objects, classes)."""
    lists = pa.chunked_array([sets]) if isinstance(sets, pa.Array) else sets
    rows, number = pc.list_parent_indices(lists.combine_chunks()), class_numbers(pc.list_flatten(lists), classes)
    member = np.zeros((len(lists), len(classes)), dtype=bool)
    member[rows.to_numpy()[number >= 0], number[number >= 0]] = True
    return member


def class_numbers(names: pa.ChunkedArray, classes: Sequence[str]) -> np.ndarray:
    """Of the class of each name, -1 where it is none."""
    found = pc.index_in(names.cast(pa.string()), value_set=pa.array(map(str, classes), pa.string()))
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def classification_metrics(predictions: pa.Table, classes: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro-F1, per-class precision, recall and F1, ROC and PR area, log loss and calibration error.

    Macro averages run over the classes that occur among the labels; areas are left out for a class that all or none have.

    Args:
        predictions: Columns `label` (rows without one are left out) and `prob_<class>`.
        classes: Their order.

    Returns:
        Flat names without a prefix; empty where no row has a label, or nothing was said of the classes.
    """
    if not any(f"prob_{name}" in predictions.column_names for name in classes):
        return {}
    labels = np.array(predictions["label"].to_pylist(), dtype=object)
    known = np.isin(labels, list(classes))
    if not known.any():
        return {}
    truth = np.searchsorted(np.sort(classes), labels[known].astype(str))
    truth = np.argsort(np.asarray(classes), kind="stable")[truth]
    probability = probabilities(predictions, classes)[known]
    decided = probability.argmax(1)
    present = np.unique(truth)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, decided, labels=range(len(classes)), zero_division=0
    )
    clipped = np.clip(probability / np.maximum(probability.sum(1, keepdims=True), 1e-15), 1e-15, 1)
    metrics = {
        "accuracy": float((decided == truth).mean()),
        "macro_f1": float(f1[present].mean()),
        "balanced_accuracy": float(recall[present].mean()),
        "log_loss": float(-np.log(clipped[np.arange(len(truth)), truth]).mean()),
        "calibration_error": calibration_error(probability.max(1), decided == truth),
        "n": len(truth),
    }
    areas, precisions = {}, {}
    for i in present:
        is_class = truth == i
        if not is_class.all():
            areas[classes[i]] = float(roc_auc_score(is_class, probability[:, i]))
            precisions[classes[i]] = float(average_precision_score(is_class, probability[:, i]))
    if areas:
        metrics["roc_auc"] = float(np.mean(list(areas.values())))
        metrics["pr_auc"] = float(np.mean(list(precisions.values())))
    for i in present:
        name = classes[i]
        metrics |= {
            f"precision_{name}": float(precision[i]),
            f"recall_{name}": float(recall[i]),
            f"f1_{name}": float(f1[i]),
        }
        if name in areas:
            metrics |= {f"roc_auc_{name}": areas[name], f"pr_auc_{name}": precisions[name]}
    return metrics


def calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15) -> float:
    """Expected calibration error: |accuracy - confidence| over equal-width bins, weighted by their share (Guo et al. 2017)."""
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    gap = np.bincount(bins, weights=correct.astype(float) - confidence, minlength=n_bins)
    return float(np.abs(gap)[count > 0].sum() / len(confidence))
