"""Learning curves of one stage."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from astro_lightning.report.style import ACCENT, BAD, plain_ticks, styled

_PARTS = {"train": ACCENT, "val": BAD}
_LAYOUT = {1: "a", 2: "ab", 3: "aa;bc", 4: "ab;cd"}


@styled
def learning_curves(logged: pd.DataFrame) -> Figure | None:
    """Training and validation values over the optimiser step: the loss first, then up to three further metrics.

    Args:
        logged: Columns `step` and `train/<metric>`, `val/<metric>`; sparse.

    Returns:
        None where nothing was logged.
    """
    names = list(dict.fromkeys(_metric(c) for c in logged.columns if _part(c)))
    both = [n for n in names if f"val/{n}" in logged]
    names = sorted(both or names, key=lambda n: (n != "loss", "loss" not in n))[: len(_LAYOUT)]
    if not names or "step" not in logged:
        return None
    figure = Figure(figsize=(4.7, 2.9 if len(names) < 3 else 4.9), layout="constrained")
    axes = list(figure.subplot_mosaic(_LAYOUT[len(names)]).values())
    for place, name in zip(axes, names):
        shown = []
        for part, colour in _PARTS.items():
            column = next((c for c in logged.columns if _part(c) == part and _metric(c) == name), None)
            values = logged[["step", column]].dropna() if column else logged.iloc[:0]
            if not len(values):
                continue
            y = values[column].to_numpy(float)
            few = {"marker": "o", "markersize": 3} if len(y) < 15 else {}
            noisy = part == "train" and len(y) > 60
            place.plot(values["step"], y, color=colour, linewidth=1.0 if noisy else 1.6, label=part, **few)
            shown.append(y)
        place.set_title(name.replace("_", " "))
        flat = np.concatenate(shown) if shown else np.ones(1)
        flat = flat[np.isfinite(flat)]
        if len(flat) and flat.min() > 0 and flat.max() > 30 * flat.min():
            place.set_yscale("log")
            plain_ticks(place.yaxis)
        place.locator_params(axis="x", nbins=4)
    figure.supxlabel("Optimiser step", fontsize="medium")
    axes[0].legend()
    return figure


def _part(column: str) -> str | None:
    part = column.split("/")[0]
    # Lightning logs a metric that is kept for both under two names; the one per step says more.
    return part if part in _PARTS and not column.endswith("_epoch") else None


def _metric(column: str) -> str:
    return column.split("/", 1)[1].removesuffix("_step")
