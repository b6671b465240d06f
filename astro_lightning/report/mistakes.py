"""The objects that the network was surest about and wrong."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from astro_lightning.report.predictions import Predictions
from astro_lightning.report.style import BAD, FAINT, GOOD, canvas, short, styled


@dataclass(frozen=True)
class Mistake:
    """One wrongly classified object with the probabilities of both classes."""

    id: str
    label: str
    predicted: str
    p_predicted: float
    p_label: float


def confident_mistakes(predictions: Predictions, limit: int = 20) -> list[Mistake]:
    """Wrongly classified objects, the surest first."""
    kept = predictions.scored()
    predicted = kept.predicted
    wrong = np.flatnonzero(predicted != kept.truth)
    confidence = kept.probabilities[wrong, predicted[wrong]]
    return [
        Mistake(
            str(kept.ids[row]),
            kept.classes[kept.truth[row]],
            kept.classes[predicted[row]],
            float(kept.probabilities[row, predicted[row]]),
            float(kept.probabilities[row, kept.truth[row]]),
        )
        for row in wrong[np.argsort(-confidence, kind="stable")][:limit]
    ]


@styled
def mistakes_chart(mistakes: list[Mistake]) -> Figure:
    """Probability of the predicted and of the true class, an object a line."""
    figure, (axes,) = canvas(4.7, 1.2 + 0.3 * len(mistakes))
    y = np.arange(len(mistakes))[::-1]
    chosen, true = [m.p_predicted for m in mistakes], [m.p_label for m in mistakes]
    axes.hlines(y, true, chosen, color=FAINT, linewidth=2)
    axes.plot(chosen, y, "o", color=BAD, label="predicted class")
    axes.plot(true, y, "D", color=GOOD, markersize=5, label="true class")
    axes.set_yticks(y, [f"{short(m.label, 14)} → {short(m.predicted, 14)}" for m in mistakes])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.7, len(mistakes) - 0.3), xlabel="Probability")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure
