"""How well light curves are classified while they still grow."""

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from astro_lightning.core.metrics import probabilities
from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.scores import confusion_counts, precision_recall_f1
from astro_lightning.report.style import SERIES, canvas, plain_ticks, styled

RESAMPLES = 200
METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def early_table(predictions: pa.Table) -> pd.DataFrame:
    """Scores by days since the first detection.

    Args:
        predictions: `label`, `prob_<class>` and `days`, infinite for whole light curves.

    Returns:
        A row for each time, the last that of the whole curves: `days`, `objects`, and `accuracy` and `macro_f1` each with
        `_low` and `_high`, a 95% bootstrap interval over the objects.
    """
    classes = [name.removeprefix("prob_") for name in predictions.column_names if name.startswith("prob_")]
    probability = probabilities(predictions, classes)
    labels, days = np.array(predictions["label"].to_pylist(), dtype=object), predictions["days"].to_numpy()
    number = {name: i for i, name in enumerate(classes)}
    truth, decided = np.array([number.get(label, -1) for label in labels]), probability.argmax(1)
    rows = []
    for day in np.unique(days):
        chosen = (days == day) & (truth >= 0)
        pair = truth[chosen], decided[chosen]

        def scores(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
            table = confusion_counts(truth, decided, len(classes))
            return np.array([np.trace(table) / table.sum(), np.nanmean(precision_recall_f1(table)[2])])

        low, high = bootstrap(scores, pair, n=RESAMPLES)
        row = {"days": float(day), "objects": int(chosen.sum())}
        for i, name in enumerate(METRICS):
            row |= {name: scores(*pair)[i], f"{name}_low": low[i], f"{name}_high": high[i]}
        rows.append(row)
    return pd.DataFrame(rows)


@styled
def early_chart(table: pd.DataFrame) -> Figure:
    """Both scores against days since the first detection, with those of whole curves."""
    figure, (axes,) = canvas(4.7, 3.4)
    cut, whole = table[np.isfinite(table["days"])], table[np.isinf(table["days"])]
    for (name, title), colour in zip(METRICS.items(), SERIES):
        axes.fill_between(cut["days"], cut[f"{name}_low"], cut[f"{name}_high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(cut["days"], cut[name], "o-", color=colour, markersize=4, label=title.capitalize())
        for value in whole[name]:
            axes.axhline(value, color=colour, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlabel="Days since the first detection", ylabel="Score", ylim=(None, 1))
    plain_ticks(axes.xaxis)
    axes.legend(loc="lower right")
    return figure
