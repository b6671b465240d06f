"""Labels that do not exclude each other: one table over all of them, and their pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score

from astro_lightning.data.whole_file import whole_file
from astro_lightning.report.curves import thinned
from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.ranking import threshold_counts
from astro_lightning.report.scores import resamples
from astro_lightning.report.style import ACCENT, FAINT, INK, canvas, styled

TRUTH = "truth_"
LABEL_TABLE = "labels.csv"  # in the run folder
FEW = 5  # labels that half a page, or a telephone, has room for
COLUMNS = (
    "label", "objects", "positives", "true_positives", "false_positives", "false_negatives", "true_negatives",
    "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision",
)  # fmt: skip


def labels_of(names: list[str]) -> list[str]:
    """Labels of a table of predictions: those with a column of their truth and one of their probability."""
    return [n.removeprefix(TRUTH) for n in names if n.startswith(TRUTH) and f"prob_{n.removeprefix(TRUTH)}" in names]


def label_scores(table: pa.Table) -> list[dict[str, float | str]]:
    """A row for each label, columns as named in COLUMNS; objects of unknown truth do not count.

    Args:
        table: `truth_<label>` (1, 0 or null) and `prob_<label>`; above 0.5 a label counts as given.
    """
    rows: list[dict[str, float | str]] = []
    for label in labels_of(table.column_names):
        truth, probability = _known(table, label)
        given = probability > 0.5
        hit, false = int((given & truth).sum()), int((given & ~truth).sum())
        missed, rest = int((~given & truth).sum()), int((~given & ~truth).sum())
        both, true = 0 < truth.sum() < len(truth), hit + missed
        values = (
            label, len(truth), hit + missed, hit, false, missed, rest, (hit + rest) / max(len(truth), 1),
            hit / max(hit + false, 1), *((hit / true, 2 * hit / (2 * hit + false + missed)) if true else (np.nan, np.nan)),
            float(roc_auc_score(truth, probability)) if both else np.nan,
            float(average_precision_score(truth, probability)) if both else np.nan,
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, values)))
    return rows


def f1_intervals(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """95 % bounds of the F1 of each label, in the order of `labels_of`, over groups where the table has a column `group`."""
    outcomes = []
    for label in labels_of(table.column_names):
        truth, probability = _columns(table, label)
        given = probability > 0.5
        outcomes += [given & (truth == 1), given & (truth == 0), (probability <= 0.5) & (truth == 1)]

    def f1(drawn: np.ndarray) -> np.ndarray:
        hit, false, missed = drawn.sum(0).reshape(-1, 3).T
        with np.errstate(invalid="ignore"):  # a resample without positives gives none
            return np.where(hit + missed, 2 * hit / (2 * hit + false + missed), np.nan)

    groups = table["group"].to_numpy() if "group" in table.column_names else None
    return bootstrap(f1, (np.stack(outcomes, 1),), groups, resamples(table.num_rows * len(outcomes)))


def write_label_table(table: pa.Table, path: Path) -> None:
    """The rows of `label_scores` with the interval of their F1, as CSV."""
    bounds = zip(label_scores(table), *f1_intervals(table), strict=True)
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, "f1_low", "f1_high"))
        writer.writeheader()
        for scores, low, high in bounds:
            row = scores | {"f1_low": float(low), "f1_high": float(high)}
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})


def read_label_table(run_folder: Path) -> list[dict[str, str]]:
    """The rows that `write_label_table` wrote for the report of a run; none where it has no such labels."""
    path = run_folder / LABEL_TABLE
    return list(csv.DictReader(path.read_text("utf-8").splitlines())) if path.exists() else []


@styled
def label_counts(table: pa.Table) -> Figure:
    """Confusion matrix of each label as a bar: hits and misses above, false alarms below."""
    rows = [row for row in label_scores(table) if row["positives"]]
    names = [str(row["label"]) for row in rows]
    figure, (axes,) = canvas(max(4.7, 0.5 * len(rows) + 2), 3.6)
    share = {
        key: np.array([float(row[key]) / float(row["positives"]) for row in rows])
        for key in ("true_positives", "false_negatives", "false_positives")
    }
    axes.bar(names, share["true_positives"], color=ACCENT, label="found")
    axes.bar(names, share["false_negatives"], bottom=share["true_positives"], color=FAINT, label="missed")
    axes.bar(names, -np.minimum(share["false_positives"], 1.0), color=INK, label="given wrongly")
    for i, row in enumerate(rows):
        axes.text(i, 1.02, str(row["positives"]), ha="center", fontsize=7)
    axes.axhline(0, color=INK, linewidth=0.8)
    beside = max(4 - len(rows), 0) / 2  # a single bar is not as wide as the picture
    axes.set_xlim(-0.6 - beside, len(rows) - 0.4 + beside)
    axes.set(ylabel="Share of the objects that have it", ylim=(-1.02, 1.12))
    axes.tick_params(axis="x", rotation=60)
    figure.legend(ncols=3, loc="outside lower center", fontsize=7)
    return figure


@styled
def label_curves(table: pa.Table) -> Figure:
    """For each label ROC and precision over recall, with the point at the threshold 0.5."""
    labels = [row for row in label_scores(table) if np.isfinite(float(row["roc_auc"]))]
    columns = min(2 if len(labels) <= FEW else 4, max(len(labels), 1))
    lines = max(-(-len(labels) // columns), 1)
    figure, grid = canvas(2.4 * columns, 2.2 * lines, lines, columns)
    for axes in grid[len(labels) :]:
        axes.set_visible(False)
    for axes, row in zip(grid, labels):
        truth, probability = _known(table, str(row["label"]))
        true, false = threshold_counts(probability, truth)
        recall, precision = true[1:] / true[-1], true[1:] / (true[1:] + false[1:])
        axes.plot(*thinned(false / false[-1], true / true[-1]), color=FAINT, linewidth=1)
        axes.plot(*thinned(recall, precision), color=ACCENT, linewidth=1.4)
        axes.plot([float(row["recall"])], [float(row["precision"])], "o", color=INK, markersize=3)
        axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.04))
        axes.set_title(f"{row['label']}  F1 {row['f1']:.3f}  AUC {row['roc_auc']:.3f}", fontsize=7.5)
    return figure


def _known(table: pa.Table, label: str) -> tuple[np.ndarray, np.ndarray]:
    truth, probability = _columns(table, label)
    known = ~np.isnan(truth) & np.isfinite(probability)
    return truth[known] == 1, probability[known]


def _columns(table: pa.Table, label: str) -> tuple[np.ndarray, np.ndarray]:
    truth = table[f"{TRUTH}{label}"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return truth, table[f"prob_{label}"].to_numpy().astype(np.float64)
