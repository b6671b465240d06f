"""The objects that the network was surest about and wrong."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from astro_lightning.data.records import Records
from astro_lightning.report.predictions import Predictions, read_predictions
from astro_lightning.report.style import BAD, FAINT, GOOD, canvas, short, styled


@dataclass(frozen=True)
class Mistake:
    """One wrongly classified object with the probabilities of both classes."""

    id: str
    label: str
    predicted: str
    p_predicted: float
    p_label: float


def surest_mistakes(predictions: Predictions) -> np.ndarray:
    """Numbers of the wrongly classified objects, the surest first."""
    predicted = predictions.predicted
    wrong = np.flatnonzero(predictions.usable & (predicted != predictions.truth))
    return wrong[np.argsort(-predictions.probabilities[wrong, predicted[wrong]], kind="stable")]


def confident_mistakes(predictions: Predictions, limit: int = 20) -> list[Mistake]:
    """Wrongly classified objects, the surest first."""
    predicted = predictions.predicted
    return [
        Mistake(
            str(predictions.ids[i]),
            predictions.classes[predictions.truth[i]],
            predictions.classes[predicted[i]],
            float(predictions.probabilities[i, predicted[i]]),
            float(predictions.probabilities[i, predictions.truth[i]]),
        )
        for i in surest_mistakes(predictions)[:limit]
    ]


def mistaken_objects(path: Path, records: Records, rows: np.ndarray) -> pa.Table:
    """The wrongly classified objects of a run's `predictions.parquet`, the surest first.

    Args:
        path: The file.
        records: With the scored objects.
        rows: Of the scored objects.

    Returns:
        Rows of the file with `predicted` (class), `confidence` (its probability) and `row` (in the records); none where the
        run predicts no class.
    """
    found = read_predictions(path)
    table = pq.read_table(path)
    wrong = np.empty(0, np.int64) if found is None else surest_mistakes(found)
    decided = [] if found is None else found.predicted[wrong]
    table = table.take(wrong)
    ids = records.flat["id"].take(pa.array(rows)).cast(table["id"].type)
    columns = {
        "predicted": pa.array([] if found is None else [found.classes[i] for i in decided], pa.string()),
        "confidence": pa.array([] if found is None else found.probabilities[wrong, decided], pa.float64()),
        "row": pa.array(rows).take(pc.index_in(table["id"], value_set=ids)),
    }
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table


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
