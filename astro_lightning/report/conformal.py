"""Whether the promises of conformal inference held: coverage by class, set sizes, unknown kinds, false discoveries."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest, false_discovery_control

from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.ranking import threshold_counts
from astro_lightning.report.style import ACCENT, BAD, FAINT, GOOD, INK, MUTED, SERIES, canvas, short, styled

_ALPHA = np.linspace(0.01, 0.5, 50)
_ASKED = np.linspace(0.02, 0.5, 25)
_RESAMPLES = 300


@styled
def conformal_coverage(p_values: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> Figure:
    """Coverage of the prediction sets {class: p > alpha} over the level asked for, in all and by class, and their sizes.

    Args:
        p_values: (rows, C) conformal p-values, NaN for a class without one.
        truth: (rows,) class numbers.
        classes: C names; beyond eight they have one colour.
    """
    own = p_values[np.arange(len(truth)), truth]
    truth, p_values, own = (values[np.isfinite(own)] for values in (truth, p_values, own))
    figure, (left, right) = canvas(6.4, 3.6, columns=2)
    left.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=0.8, linestyle=":")
    named = len(classes) <= len(SERIES)
    for c in np.unique(truth):
        label = f"{short(classes[c], 10)}" if named else None
        left.plot(1 - _ALPHA, _above(own[truth == c]), color=SERIES[c] if named else FAINT, linewidth=0.9, label=label)
    found = _above(own)
    low, high = np.array([_interval(round(share * len(own)), len(own)) for share in found]).T
    left.fill_between(1 - _ALPHA, low, high, color=INK, alpha=0.2, linewidth=0)
    left.plot(1 - _ALPHA, found, color=INK, label="all (band: 95 %)")
    left.set(xlabel="Coverage asked for", ylabel="Coverage found", xlim=(0.5, 1), ylim=(min(0.5, found.min()), 1.01))
    # One level after the other: all at once would take fifty times the table.
    sizes = (np.minimum((p_values > alpha).sum(1), 2) for alpha in _ALPHA)
    shares = np.array([np.bincount(size, minlength=3) for size in sizes]).T / max(len(p_values), 1)
    for word, colour, share in zip(("empty", "one class", "more"), (BAD, GOOD, ACCENT), shares, strict=True):
        right.plot(1 - _ALPHA, share, color=colour, label=word)
    right.set(xlabel="Coverage asked for", ylabel="Share of sets", xlim=(0.5, 1), ylim=(0, 1.01))
    for axes, columns in ((left, 3), (right, 3)):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, columnspacing=1.0, handlelength=1.2)
    return figure


@styled
def coverage_by_class(p_values: np.ndarray, truth: np.ndarray, classes: Sequence[str], alpha: float) -> Figure:
    """Coverage of each class and of all at one alpha, with 95 % Clopper-Pearson intervals; arguments as above."""
    own = p_values[np.arange(len(truth)), truth]
    named = [(name, own[truth == c]) for c, name in enumerate(classes)] + [("all", own)]
    named = [(name, values[np.isfinite(values)]) for name, values in named]
    rows = [
        (f"{short(name)} ({len(values):,})", (values > alpha).sum(), len(values))
        for name, values in named
        if len(values)
    ]
    figure, (axes,) = canvas(4.7, 1.2 + 0.28 * len(rows))
    place = np.arange(len(rows))[::-1]
    low, high = np.array([_interval(hits, n) for _, hits, n in rows]).T
    axes.axvline(1 - alpha, color=MUTED, linewidth=0.8, linestyle=":")
    axes.hlines(place, low, high, color=ACCENT, linewidth=1.4)
    axes.plot([hits / n for _, hits, n in rows], place, "o", color=ACCENT, markersize=4.5)
    axes.set_yticks(place, [name for name, _, _ in rows])
    axes.set(xlabel=f"Coverage found, {1 - alpha:.0%} asked for", xlim=(min(1 - 2 * alpha, low.min() - 0.02), 1.005))
    return figure


@styled
def unknown_kinds(p: np.ndarray, unknown: np.ndarray) -> Figure:
    """ROC curve of the p-value of being known, and false discoveries over the rate asked for; or how known objects fare.

    Args:
        p: (rows,) p-values of belonging to a known class.
        unknown: (rows,) bool, objects of classes that no training saw.
    """
    if not unknown.any() or unknown.all():
        figure, (axes,) = canvas(4.7, 3.8)
        _of_known(axes, p[~unknown])
        return figure
    figure, (left, right) = canvas(6.4, 3.6, columns=2)
    true, false = threshold_counts(-p, unknown)
    low, high = bootstrap(_area, (-p, unknown), n=_RESAMPLES)
    area = f"area {_area(-p, unknown):.3f} [{low:.3f}, {high:.3f}]"
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    left.plot(false / false[-1], true / true[-1], color=ACCENT, label=area)
    left.set(xlabel="Known objects flagged", ylabel="Unknown objects flagged", xlim=(0, 1), ylim=(0, 1.01))
    flagged = _adjusted(p)[:, None] <= _ASKED
    count, wrong = flagged.sum(0), flagged[~unknown].sum(0)
    some = count > 0
    bounds = np.array([_interval(k, n) for k, n in zip(wrong[some], count[some])]).reshape(-1, 2)
    right.plot([0, 0.5], [0, 0.5], color=MUTED, linewidth=0.8, linestyle=":")
    right.fill_between(_ASKED[some], bounds[:, 0], bounds[:, 1], color=BAD, alpha=0.2, linewidth=0)
    right.plot(_ASKED[some], wrong[some] / count[some], color=BAD, label="false among the flagged")
    right.plot(_ASKED, flagged[unknown].mean(0), color=GOOD, label="unknown ones found")
    right.set(xlabel="False-discovery rate asked for", ylabel="Share", xlim=(0, 0.5), ylim=(0, 1.01))
    for axes in (left, right):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1, handlelength=1.2)
    return figure


def _of_known(axes: Axes, p: np.ndarray) -> None:
    grid = np.linspace(0.01, 1, 100)
    count = np.searchsorted(np.sort(p), grid, side="right")
    low, high = np.array([_interval(k, len(p)) for k in count]).T
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    axes.fill_between(grid, low, high, color=ACCENT, alpha=0.25, linewidth=0)
    axes.plot(grid, count / max(len(p), 1), color=ACCENT)
    axes.set(xlabel="p-value of being known", ylabel="Known objects at or below it", xlim=(0, 1), ylim=(0, 1.01))


def _above(own: np.ndarray) -> np.ndarray:
    """Share of p-values above each alpha."""
    return 1 - np.searchsorted(np.sort(own), _ALPHA, side="right") / max(len(own), 1)


def _adjusted(p: np.ndarray) -> np.ndarray:
    """Smallest rate at which Benjamini-Hochberg flags each object, with Storey's share of known ones, as the run's flags."""
    return false_discovery_control(p) * min(1.0, 2 * (1 + np.count_nonzero(p > 0.5)) / len(p))


def _area(score: np.ndarray, unknown: np.ndarray) -> float:
    if unknown.all() or not unknown.any():
        return np.nan
    true, false = threshold_counts(score, unknown)
    return float(np.trapezoid(true / true[-1], false / false[-1]))


def _interval(hits: int, n: int) -> tuple[float, float]:
    if not n:
        return np.nan, np.nan
    found = binomtest(int(hits), int(n)).proportion_ci(0.95, method="exact")
    return found.low, found.high
