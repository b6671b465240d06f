"""Learning curves of one stage, or of a stage and its folds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from astro_lightning.report.style import ACCENT, BAD, plain_ticks, styled

_PARTS = {"train": ACCENT, "val": BAD}
_LAYOUT = {1: "a", 2: "ab", 3: "aa;bc", 4: "ab;cd"}


# Counters that a stage logs so that its last epoch is the one kept.
_COUNTERS = ("epoch", "rounds", "steps")
# A metric of one label among many has a small picture of its own.
_OF_LABEL = "f1_"
_IN_A_ROW = 4


def stages_and_folds(learning: Mapping[str, pd.DataFrame]) -> dict[str, list[pd.DataFrame]]:
    """Stages that differ by numbers at the end of their names only (folds, members, rounds) under one name, in order."""
    found: dict[str, list[pd.DataFrame]] = {}
    for stage, logged in learning.items():
        found.setdefault(re.sub(r"(_?(fold|member)?_?\d+)+$", "", stage) or "folds", []).append(logged)
    return found


@styled
def learning_curves(logged: Sequence[pd.DataFrame]) -> Figure | None:
    """Training and validation values over the optimiser step: the loss first, then up to three further metrics.

    Args:
        logged: One table for each fold, with columns `step` and `train/<metric>`, `val/<metric>`; sparse.

    Returns:
        None where nothing was logged twice: a single value is no curve.
    """
    columns = list(dict.fromkeys(c for table in logged for c in table.columns if "step" in table))
    names = list(dict.fromkeys(_metric(c) for c in columns if _part(c)))
    names = [
        n
        for n in names
        if n not in _COUNTERS
        and not n.startswith(_OF_LABEL)
        and any(len(_values(t, part, n)) > 1 for t in logged for part in _PARTS)
    ]
    both = [n for n in names if f"val/{n}" in columns]
    names = sorted(both or names, key=lambda n: (n != "loss", "loss" not in n))[: len(_LAYOUT)]
    if not names:
        return None
    figure = Figure(figsize=(4.7, 2.9 if len(names) < 3 else 4.9), layout="constrained")
    axes = list(figure.subplot_mosaic(_LAYOUT[len(names)]).values())
    for place, name in zip(axes, names):
        shown = []
        for part, colour in _PARTS.items():
            for k, table in enumerate(logged):
                values = _values(table, part, name)
                if len(values):
                    y = values.iloc[:, 1].to_numpy(float)
                    few: dict[str, Any] = {"marker": "o", "markersize": 3} if len(y) < 15 and len(logged) == 1 else {}
                    thin = len(logged) > 1 or (part == "train" and len(y) > 60)
                    place.plot(
                        values["step"],
                        y,
                        color=colour,
                        linewidth=1.0 if thin else 1.6,
                        label=None if k else part,
                        **few,
                    )
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


@styled
def f1_curves(logged: Sequence[pd.DataFrame]) -> Figure | None:
    """F1 on the validation objects over the optimiser step, a small picture for each label.

    Args:
        logged: One table for each fold, with columns `step` and `val/f1_<label>`; sparse.

    Returns:
        None where no label was followed for more than one epoch.
    """
    columns = list(dict.fromkeys(c for table in logged for c in table.columns if _part(c) == "val"))
    names = [n for n in map(_metric, columns) if n.startswith(_OF_LABEL)]
    names = [n for n in names if any(len(_values(table, "val", n)) > 1 for table in logged)]
    if not names:
        return None
    rows = -(-len(names) // _IN_A_ROW)
    figure = Figure(figsize=(4.7, 0.6 + 1.15 * rows), layout="constrained")
    places = figure.subplots(rows, _IN_A_ROW, sharex=True, sharey=True, squeeze=False).flat
    for name, place in zip(names, places, strict=False):
        for table in logged:
            values = _values(table, "val", name)
            place.plot(values["step"], values.iloc[:, 1], color=_PARTS["val"], linewidth=1.0)
        place.set_title(name.removeprefix(_OF_LABEL), fontsize="small")
        place.set_ylim(0, 1)
        place.locator_params(axis="x", nbins=2)
    for place in places:
        place.set_visible(False)
    figure.supxlabel("Optimiser step", fontsize="medium")
    figure.supylabel("F1, validation", fontsize="medium")
    return figure


def _values(table: pd.DataFrame, part: str, metric: str) -> pd.DataFrame:
    """Step and value, where both were logged."""
    column = next((c for c in table.columns if _part(c) == part and _metric(c) == metric), None)
    return table[["step", column]].dropna() if column and "step" in table else table.iloc[:0, :2]


def _part(column: str) -> str | None:
    part = column.split("/")[0]
    # Lightning logs a metric that is kept for both under two names; the one per step says more.
    return part if part in _PARTS and not column.endswith("_epoch") else None


def _metric(column: str) -> str:
    return column.split("/", 1)[1].removesuffix("_step")
