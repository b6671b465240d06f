"""Whether a stated probability is a true one: the reliability diagram."""

import numpy as np
from matplotlib.figure import Figure

from astro_lightning.core.metrics import calibration_error
from astro_lightning.report.scores import N_BINS, calibration_bins
from astro_lightning.report.style import ACCENT, FAINT, INK, MUTED, canvas, styled

_FIRM = 10  # bins of fewer objects are drawn open and not joined


@styled
def reliability_diagram(confidence: np.ndarray, correct: np.ndarray) -> Figure:
    """Share of correct answers over the probability of the predicted class, with 95 % Wilson intervals per bin.

    Args:
        confidence: (rows,) probability of the predicted class.
        correct: (rows,) bool.
    """
    mean, accuracy, count = calibration_bins(confidence, correct)
    figure, (axes, below) = canvas(4.7, 4.4, rows=2)
    axes.get_gridspec().set_height_ratios([4, 1])  # type: ignore[union-attr]  # those of a grid have it
    some, firm = count > 0, count >= _FIRM
    low, high = _wilson(accuracy[some], count[some])
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="perfect")
    axes.vlines(mean[some], low, high, color=ACCENT, linewidth=1.2)
    axes.plot(mean[some], accuracy[some], "o", color=ACCENT, markersize=4.5, markerfacecolor="none")
    axes.plot(mean[firm], accuracy[firm], color=ACCENT, marker="o", markersize=4.5, label="this run")
    error = calibration_error(confidence, correct)
    axes.text(0.97, 0.05, f"calibration error {error:.3f}", ha="right", color=INK, transform=axes.transAxes)
    axes.set(ylabel="Share correct", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    below.bar((np.arange(N_BINS) + 0.5) / N_BINS, count, 0.9 / N_BINS, color=FAINT)
    below.set(xlabel="Probability of the predicted class", ylabel="Objects", xlim=(0, 1))
    return figure


def _wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half
