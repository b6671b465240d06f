"""Test metrics of spectra: on clean objects, by survey, by signal-to-noise ratio, and of the rejection."""

import itertools

import numpy as np
import pyarrow as pa
from sklearn.metrics import f1_score

from astro_lightning.core.metrics import classification_metrics, probabilities

CLEAN_SNR = 2.0
SNR_EDGES = (0.0, 2.0, 5.0, 10.0, 20.0, np.inf)


def column(predictions: pa.Table, name: str, default: float | str) -> np.ndarray:
    """A column as an array, or the default for each row."""
    if name not in predictions.column_names:
        return np.full(len(predictions), default, dtype=object if isinstance(default, str) else None)
    return np.array(predictions[name].to_pylist(), dtype=object if isinstance(default, str) else np.float64)


def is_clean(predictions: pa.Table, classes: list[str]) -> np.ndarray:
    """Rows (n,) with one of the classes as label, no warning of the pipeline, and a signal-to-noise ratio above 2.

    A warning or a ratio that is not known speaks against no spectrum.
    """
    labels = column(predictions, "label", "")
    return (
        np.isin(labels, classes)
        & (np.nan_to_num(column(predictions, "zwarning", 0.0)) == 0)
        & ~(column(predictions, "snr", np.nan) <= CLEAN_SNR)
    )


def with_clean(predictions: pa.Table, classes: list[str]) -> pa.Table:
    """The table with `counted`: false for the doubtful spectra of known classes, which enter no metric of a plain name."""
    doubtful = np.isin(column(predictions, "label", ""), classes) & ~is_clean(predictions, classes)
    return predictions.append_column("counted", pa.array(~doubtful))


def macro_f1(labels: np.ndarray, decided: np.ndarray, classes: list[str]) -> float:
    """Macro-F1 over the classes that occur."""
    return float(
        f1_score(labels, decided, labels=[c for c in classes if c in set(labels)], average="macro", zero_division=0)
    )


def spectra_metrics(predictions: pa.Table, classes: list[str]) -> dict[str, float]:
    """Flat metrics.

    Args:
        predictions: Columns label, prob_<class>, and as far as known survey, snr, zwarning, reject.
        classes: Known classes.

    Returns:
        Metrics of clean spectra under plain names; `macro_f1_with_doubtful` of every spectrum of a known class; accuracy and
        count of each survey; macro-F1 by signal-to-noise ratio; macro-F1 of SDSS and BOSS together; shares rejected.
    """
    labels = column(predictions, "label", "")
    clean, known = is_clean(predictions, classes), np.isin(labels, classes)
    metrics = classification_metrics(predictions.filter(pa.array(clean)), classes)
    if not metrics:
        return metrics
    decided = np.asarray(classes)[probabilities(predictions, classes).argmax(1)]
    metrics["macro_f1_with_doubtful"] = macro_f1(labels[known], decided[known], classes)
    survey, snr = column(predictions, "survey", ""), column(predictions, "snr", np.nan)
    for name in sorted(set(survey[clean]) - {""}):
        here = clean & (survey == name)
        metrics[f"accuracy_of_{name}"] = float((decided == labels)[here].mean())
        metrics[f"n_of_{name}"] = int(here.sum())
    both = clean & np.isin(survey, ["SDSS", "BOSS"])
    if both.any():
        metrics["sdss_boss_macro_f1"] = macro_f1(labels[both], decided[both], classes)
    for low, high in itertools.pairwise(SNR_EDGES):
        here = known & (snr >= low) & (snr < high) & (np.nan_to_num(column(predictions, "zwarning", 0.0)) == 0)
        if here.any():
            metrics[f"macro_f1_snr_{low:g}_{high:g}"] = macro_f1(labels[here], decided[here], classes)
    if "reject" in predictions.column_names:
        reject = np.array(predictions["reject"].to_pylist(), dtype=bool)
        metrics["clean_rejected"] = float(reject[clean].mean())
        for kind in sorted(set(labels) - set(classes) - {None, ""}):
            metrics[f"{str(kind).lower()}_rejected"] = float(reject[labels == kind].mean())
    return metrics
