"""Who is taken for whom, and how often each class occurs."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from astro_lightning.report.style import ACCENT, FAINT, INK, canvas, plain_ticks, short, styled

# Inches; of more classes than have room not all are named, and no page has to hold a picture of 80 inches.
_LARGEST = 18.0


@styled
def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Confusion matrix, each row divided by its sum; share and count are written into the cells up to 16 classes.

    Args:
        counts: (C, C), rows true, columns predicted.
        classes: C names.
    """
    n = len(classes)
    written = n <= 16
    wanted = max(4.4, 1.6 + 0.56 * n) if written else 2.2 + 0.15 * n
    size = min(wanted, _LARGEST)
    named = range(0, n, int(np.ceil(wanted / size)))
    figure, (axes,) = canvas(size, size * 0.94)
    total = counts.sum(axis=1)
    share = counts / np.maximum(total, 1)[:, None]
    # One colour whose opacity is the share: the same picture works on white and on black.
    cells = np.broadcast_to(np.array(mpl.colors.to_rgba(ACCENT)), (n, n, 4)).copy()
    cells[..., 3] = share
    axes.imshow(cells, interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    small = 8 if n <= 20 else 6
    axes.set_xticks(named, [short(classes[c]) for c in named], rotation=90 if n > 4 else 0, fontsize=small)
    axes.set_yticks(named, [f"{short(classes[c])} ({total[c]:,})" for c in named], fontsize=small)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", linewidth=0.7)
    axes.tick_params(which="minor", length=0)
    axes.set(xlabel="Predicted", ylabel="True (objects)")
    for i, j in zip(*np.nonzero(counts)) if written else ():
        colour = "#ffffff" if share[i, j] > 0.6 else INK
        axes.text(j, i, f"{share[i, j]:.0%}\n{counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=7)
    return figure


@styled
def class_distribution(true_counts: np.ndarray, predicted_counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Objects per class in the test split beside how many were put into it.

    Args:
        true_counts: (C,) objects by label.
        predicted_counts: (C,) the same objects by predicted class.
        classes: C names.
    """
    n = len(classes)
    order = np.argsort(true_counts, kind="stable")
    figure, (axes,) = canvas(4.7, max(2.6, min(1.4 + 0.3 * n, 9.0)))
    y = np.arange(n)
    axes.barh(y + 0.19, true_counts[order], 0.36, color=ACCENT, label="labelled")
    axes.barh(y - 0.19, predicted_counts[order], 0.36, color=FAINT, label="predicted")
    axes.set_yticks(y, [short(classes[i]) for i in order], fontsize=8 if n <= 25 else 6)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, n - 0.3)
    axes.grid(axis="y", visible=False)
    most = max(true_counts.max(), predicted_counts.max())
    if most > 50 * max(true_counts[true_counts > 0].min(initial=most), 1):
        axes.set_xscale("symlog", linthresh=10)
        plain_ticks(axes.xaxis)
    logarithmic = ", logarithmic above 10" if axes.get_xscale() == "symlog" else ""
    axes.set_xlabel(f"Objects in the test split{logarithmic}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure
