"""Test metrics with their intervals, computed once from the predictions for report, card, table and comparison."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from astro_lightning.core.metrics import calibration_error
from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.predictions import Predictions
from astro_lightning.report.ranking import areas, descending_ranks

N_BINS = 15
_WORK = 3e7  # numbers touched by all resamples of one metric: keeps the intervals of large sets to seconds


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval (NaN where there is none)."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Scores:
    """Metrics of the test split.

    Attributes:
        overall: Metric name -> estimate: accuracy, balanced_accuracy, macro_f1, roc_auc, pr_auc, log_loss,
            calibration_error, and where the run made them coverage, set_size and flagged_known.
        per_class: Column name -> (C,) array: objects, precision, recall, f1, f1_low, f1_high, roc_auc, pr_auc.
        confusion: (C, C) counts, rows true, columns predicted.
        n_scored: Rows that entered the metrics.
        n_unlabelled: Rows without a label.
        n_other: Rows whose label is not among the classes.
        n_not_finite: Labelled rows with NaN among their probabilities.
        n_doubtful: Labelled rows that the task keeps out of its metrics.
        unit: What the bootstrap draws: `objects` or `groups`.
        n_units: How many of them there are.
    """

    classes: tuple[str, ...]
    overall: dict[str, Estimate]
    per_class: dict[str, np.ndarray]
    confusion: np.ndarray
    n_scored: int
    n_unlabelled: int = 0
    n_other: int = 0
    n_not_finite: int = 0
    n_doubtful: int = 0
    unit: str = "objects"
    n_units: int = field(default=0)

    def interval(self, key: str, value: float) -> Estimate | None:
        """The estimate that belongs to a recorded metric such as `test/accuracy`.

        None where the name is not known here, or where the recorded value is another one (another definition of
        the metric, another set of rows): an interval must not stand beside a number it was not made for.
        """
        if not key.startswith("test/"):
            return None
        found = self.overall.get(key.removeprefix("test/"))
        return found if found and np.isfinite(found.low) and abs(found.value - value) < 5e-4 else None


def score(predictions: Predictions) -> Scores | None:
    """Metrics of the rows that have a label among the classes; None where there are no such rows.

    Per-class numbers are one class against the rest; macro averages run over the classes that occur among the labels.
    The calibration error is that of the most probable class in 15 equal bins (Guo et al. 2017); it has no interval
    because resampling biases it upwards.
    """
    kept = predictions.scored()
    rows, n_classes = kept.probabilities.shape
    if not rows:
        return None
    truth, predicted = kept.truth, kept.predicted
    loss = -np.log(own_probability(kept))

    def counted(truth: np.ndarray, predicted: np.ndarray, loss: np.ndarray) -> np.ndarray:
        table = confusion_counts(truth, predicted, n_classes)
        _, recall, f1 = precision_recall_f1(table)
        mean = [np.trace(table) / table.sum(), _mean(recall), _mean(f1), loss.mean()]
        return np.concatenate([mean, f1])

    arrays = (truth, predicted, loss)
    point = counted(*arrays)
    low, high = bootstrap(counted, arrays, groups=kept.groups, n=resamples(rows))
    ranks = descending_ranks(kept.probabilities)
    levels = int(ranks.max()) + 1

    def ranked(truth: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        roc, precision = areas(truth, ranks, levels)
        return np.array([_mean(roc), _mean(precision)])

    roc, average_precision = areas(truth, ranks, levels)
    area_low, area_high = bootstrap(ranked, (truth, ranks), groups=kept.groups, n=resamples(rows * n_classes))
    table = confusion_counts(truth, predicted, n_classes)
    precision, recall, f1 = precision_recall_f1(table)
    names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
    overall = {name: Estimate(*map(float, (point[i], low[i], high[i]))) for i, name in enumerate(names)}
    overall["roc_auc"] = Estimate(_mean(roc), float(area_low[0]), float(area_high[0]))
    overall["pr_auc"] = Estimate(_mean(average_precision), float(area_low[1]), float(area_high[1]))
    overall["calibration_error"] = Estimate(calibration_error(*top_label(kept)))
    overall |= _conformal(kept)
    return Scores(
        classes=kept.classes,
        overall=overall,
        per_class={
            "objects": table.sum(axis=1),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "f1_low": low[len(names) :],
            "f1_high": high[len(names) :],
            "roc_auc": roc,
            "pr_auc": average_precision,
        },
        confusion=table,
        n_scored=rows,
        n_unlabelled=int((predictions.truth == -1).sum()),
        n_other=int((predictions.truth == -2).sum()),
        n_not_finite=int((~np.isfinite(predictions.probabilities[predictions.truth >= 0]).all(axis=1)).sum()),
        n_doubtful=0 if predictions.counted is None else int((~predictions.counted & (predictions.truth >= 0)).sum()),
        unit="objects" if kept.groups is None else "groups",
        n_units=rows if kept.groups is None else len(np.unique(kept.groups)),
    )


def confusion_counts(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, C) counts, rows true, columns predicted."""
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three (C,) arrays; NaN for a class without labels, and precision also where nothing was put into a class."""
    hit, true, chosen = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        some = np.where(true > 0, 1.0, np.nan)
        return some * hit / chosen, hit / true, some * 2 * hit / (true + chosen)


def own_probability(predictions: Predictions) -> np.ndarray:
    """(rows,) probability given to the true class, rows renormalised and clipped to 1e-15."""
    own = predictions.probabilities[np.arange(len(predictions.truth)), predictions.truth]
    return np.clip(own / np.maximum(predictions.probabilities.sum(axis=1), 1e-15), 1e-15, 1)


def top_label(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) probability of the predicted class, and whether it was the true one."""
    return predictions.probabilities.max(axis=1), predictions.predicted == predictions.truth


def calibration_bins(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, share correct and count in 15 equal bins of confidence, NaN where a bin is empty."""
    which = np.clip((confidence * N_BINS).astype(int), 0, N_BINS - 1)
    count = np.bincount(which, minlength=N_BINS)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(which, confidence, minlength=N_BINS) / count
        accuracy = np.bincount(which, correct, minlength=N_BINS) / count
    return mean_confidence, accuracy, count


def _conformal(kept: Predictions) -> dict[str, Estimate]:
    """What `methods.conformal.evaluate.summary` calls by these names, with intervals."""
    values: dict[str, np.ndarray] = {}
    if kept.sets is not None:
        values = {"coverage": kept.sets[np.arange(len(kept.truth)), kept.truth], "set_size": kept.sets.sum(axis=1)}
    if kept.flagged is not None:
        values["flagged_known"] = kept.flagged
    if not values:
        return {}
    table = np.stack(list(values.values()), axis=1).astype(float)
    low, high = bootstrap(lambda drawn: drawn.mean(axis=0), (table,), groups=kept.groups, n=resamples(table.size))
    low[low == high] = np.nan  # where nothing is flagged, resamples cannot say how much might be
    return {
        name: Estimate(*map(float, found)) for name, *found in zip(values, table.mean(axis=0), low, high, strict=True)
    }


def _mean(values: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.nanmean(values))


def resamples(numbers: int) -> int:
    """How many resamples of so many numbers take seconds."""
    return int(np.clip(_WORK / numbers, 100, 1000))
