"""ROC and precision-recall curves, one class against the rest."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astro_lightning.report.ranking import areas, descending_ranks, threshold_counts
from astro_lightning.report.style import FAINT, INK, MUTED, SERIES, canvas, short, styled

_POINTS = 300  # a curve of more corners than this looks the same and weighs more


@styled
def roc_curves(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """ROC curve of each class and their mean at equal false-positive rate.

    Args:
        truth: (rows,) class numbers.
        probabilities: (rows, C).
        classes: C names; those without positives or without negatives have no curve.
    """
    figure, (axes,) = canvas(4.7, 4.8)
    area, precision = _areas(truth, probabilities)
    grid = np.linspace(0, 1, 201)
    drawn = []

    def curve(c: int) -> tuple[np.ndarray, np.ndarray]:
        true, false = threshold_counts(probabilities[:, c], truth == c)
        x, y = false / false[-1], true / true[-1]
        drawn.append(np.interp(grid, x, y))
        return x, y

    _draw(axes, area, _named(precision), classes, curve, step=False)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    if len(drawn) > 2:
        mean = np.concatenate([[0.0], np.mean(drawn, axis=0)])
        axes.plot(np.append(0, grid), mean, color=INK, linewidth=2.2, label=f"macro mean {np.nanmean(area):.3f}")
    axes.set(xlabel="False-positive rate", ylabel="True-positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    _legend(figure)
    return figure


@styled
def precision_recall_curves(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """Precision over recall of each class; arguments as `roc_curves`."""
    figure, (axes,) = canvas(4.7, 4.8)
    area = _areas(truth, probabilities)[1]

    def curve(c: int) -> tuple[np.ndarray, np.ndarray]:
        true, false = threshold_counts(probabilities[:, c], truth == c)
        precision = true[1:] / (true[1:] + false[1:])
        return true / true[-1], np.append(precision[0], precision)

    _draw(axes, area, _named(area), classes, curve, step=True)
    axes.set(xlabel="Recall", ylabel="Precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    _legend(figure)
    return figure


def _areas(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    ranks = descending_ranks(probabilities)
    return areas(truth, ranks, int(ranks.max()) + 1)


def _draw(
    axes: Axes,
    area: np.ndarray,
    named: dict[int, str],
    classes: Sequence[str],
    curve: Callable[[int], tuple[np.ndarray, np.ndarray]],
    step: bool,
) -> None:
    defined = np.flatnonzero(np.isfinite(area))
    for c in sorted(defined.tolist(), key=lambda c: c in named):
        x, y = thinned(*curve(c))
        style: dict[str, Any] = {"color": FAINT, "linewidth": 0.8}
        if c in named:
            style = {"color": named[c], "label": f"{short(classes[c])} {area[c]:.3f}"}
        axes.plot(x, y, drawstyle="steps-pre" if step else "default", **style)
    if len(named) < len(defined):
        axes.plot([], [], color=FAINT, linewidth=0.8, label=f"the other {len(defined) - len(named)} classes")
    if not len(defined):
        axes.text(0.5, 0.5, "needs objects of two classes", ha="center", color=MUTED)


def _named(precision: np.ndarray) -> dict[int, str]:
    """Class -> colour: all classes while eyes can tell them apart, else the four with the least average precision."""
    defined = np.flatnonzero(np.isfinite(precision))
    if len(precision) <= len(SERIES):
        return {int(c): SERIES[c] for c in defined}
    worst = defined[np.argsort(precision[defined], kind="stable")][:4]
    return dict(zip(map(int, worst), SERIES))


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line of few enough points that a page can hold it, evenly spread along it."""
    if len(x) <= _POINTS:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    keep = np.unique(np.append(np.searchsorted(length, np.linspace(0, length[-1], _POINTS)), len(x) - 1))
    return x[keep], y[keep]


def _legend(figure: Figure) -> None:
    # Below the axes: curves may run through every corner.
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.4)
