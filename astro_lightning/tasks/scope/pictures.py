"""Pictures of a run: periods found against the catalogue's, folded light curves, what the trees look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from astro_lightning.core.loader import Batch
from astro_lightning.report.style import ACCENT, BAD, FAINT, canvas, plain_ticks, short, styled

PANELS, MOST = 12, 20  # folded curves, features


@styled
def periods(found_d: np.ndarray, catalogue_d: np.ndarray) -> Figure:
    """Found against catalogue period, days, with the lines of equality and of the harmonics 1/2 and 2."""
    figure, (axes,) = canvas(5.2, 4.8)
    span = np.array([np.nanmin(catalogue_d), np.nanmax(catalogue_d)])
    for ratio, colour in ((1, ACCENT), (0.5, FAINT), (2, FAINT)):
        axes.plot(span, ratio * span, color=colour, linewidth=1)
    right = np.abs(found_d / catalogue_d - 1) < 0.01
    for rows, colour, label in ((right, ACCENT, "within 1%"), (~right, BAD, "not")):
        axes.plot(
            catalogue_d[rows], found_d[rows], ".", color=colour, markersize=2.5, label=f"{label}: {rows.mean():.1%}"
        )
    axes.set(xscale="log", yscale="log", xlabel="catalogue period (d)", ylabel="period found (d)")
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.legend(markerscale=3)
    return figure


@dataclass(frozen=True)
class Folded:
    """A light curve to fold: n times (days) and magnitudes, the period (days), and what stands above."""

    time_d: np.ndarray
    mag: np.ndarray
    period_d: float
    title: str


def folded(batch: Batch, period_d: np.ndarray, types: Sequence[str]) -> Figure:
    """One folded light curve of each type."""
    target = batch["target"].numpy()
    rows = [int(np.flatnonzero(target == i)[0]) for i in np.unique(target[target >= 0])][:PANELS]
    curves = []
    for row in rows:
        valid = batch["valid"][row].numpy()
        time_d, mag = (batch[name][row].numpy()[valid] for name in ("time_d", "mag"))
        curves.append(Folded(time_d, mag, period_d[row], f"{short(types[target[row]])}  {period_d[row]:.4g} d"))
    return folded_curves(curves)


@styled
def folded_curves(curves: Sequence[Folded]) -> Figure:
    """Light curves over two turns, faintest at phase 0."""
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure, grid = canvas(9, 1.8 * lines + 0.4, lines, columns)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    for axes, curve in zip(grid, curves):
        phase, mag = (curve.time_d / curve.period_d) % 1, curve.mag
        faint = np.median(phase[mag >= np.quantile(mag, 0.95)])
        phase = (phase - faint) % 1
        axes.plot(np.concatenate([phase, phase + 1]), np.concatenate([mag, mag]), ".", color=ACCENT, markersize=2)
        # One wild observation must not flatten the rest.
        bright, dim = np.quantile(mag, [0.005, 0.995])
        room = 0.12 * (dim - bright) or 1.0
        axes.set_ylim(dim + room, bright - room)
        axes.set_title(curve.title, fontsize=7.5)
    figure.supxlabel("phase", fontsize=9)
    figure.supylabel("magnitude", fontsize=9)
    return figure


@styled
def importances(gain: Mapping[str, Mapping[str, float]]) -> Figure:
    """Share of the gain of the most used features: mean over the labels and, of several labels, each one's own.

    Args:
        gain: Label -> feature -> total gain.
    """
    share = mean_gain(gain)
    names = sorted(share, key=share.__getitem__)[-MOST:]
    labels = list(gain) if len(gain) > 1 else []
    figure = Figure(figsize=(6 + 0.3 * len(labels), 0.22 * len(names) + 0.8), layout="constrained")
    if not labels:
        axes = figure.subplots()
    else:
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=[4, 0.3 * len(labels)])
        of_label = shares(gain)
        each = [[of_label[label].get(name, 0.0) for label in labels] for name in names]
        beside.imshow(each, cmap="Blues", aspect="auto", origin="lower")
        beside.set_xticks(range(len(labels)), labels, rotation=90)
        beside.grid(visible=False)
    axes.barh(names, [share[name] for name in names], color=ACCENT)
    axes.set_xlabel("share of the gain, mean over labels")
    return figure


def shares(gain: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Label -> feature -> share of the label's gain, largest first."""
    out = {}
    for label, of_label in gain.items():
        total = sum(of_label.values()) or 1.0
        out[label] = {name: of_label[name] / total for name in sorted(of_label, key=of_label.__getitem__, reverse=True)}
    return out


def importance_table(gain: Mapping[str, Mapping[str, float]]) -> str:
    """Table (CSV) of what each label's trees split by: `label`, `feature`, `share_of_gain`."""
    rows = [
        f"{label},{name},{value:.6f}" for label, of_label in shares(gain).items() for name, value in of_label.items()
    ]
    return "\n".join(["label,feature,share_of_gain", *rows]) + "\n"


def mean_gain(gain: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Feature -> mean over the labels of its share of a label's gain."""
    share: dict[str, float] = {}
    for of_label in shares(gain).values():
        for name, value in of_label.items():
            share[name] = share.get(name, 0.0) + value / len(gain)
    return share


def ranking(gain: Mapping[str, Mapping[str, float]]) -> str:
    """Table (CSV) of the features by the number of labels that hold them among their first three."""
    firsts: list[str] = [
        name for of_label in gain.values() for name in sorted(of_label, key=of_label.__getitem__, reverse=True)[:3]
    ]
    share = mean_gain(gain)
    order: Iterable[str] = sorted(share, key=lambda name: (firsts.count(name), share[name]), reverse=True)
    rows = [f"{name},{firsts.count(name)},{share[name]:.4f}" for name in order]
    return "\n".join(["feature,labels_with_it_in_top_3,mean_share_of_gain", *rows]) + "\n"
