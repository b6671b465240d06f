"""Pictures of a tested network: tables by survey and signal-to-noise ratio, rejection, and the confident mistakes."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from astro_lightning.core.metrics import probabilities
from astro_lightning.report.style import ACCENT, BAD, GOOD, INK, MUTED, SERIES, canvas, save_picture, styled
from astro_lightning.tasks.spectra import lines
from astro_lightning.tasks.spectra.augment import GRID_A
from astro_lightning.tasks.spectra.inputs import Rebin
from astro_lightning.tasks.spectra.normalise import smooth
from astro_lightning.tasks.spectra.scoring import SNR_EDGES, column, is_clean

# Lines drawn over a spectrum: those that decide its class by eye.
MARKED: dict[str, dict[str, Iterable[float]]] = {
    "STAR": {
        "H": lines.BALMER[:5],
        "CaII": [*lines.CALCIUM_HK, *lines.CALCIUM_TRIPLET],
        "Mgb": [5174.1],
        "NaD": [5894.6],
        "TiO": [7053, 7589],
    },
    "GALAXY": {
        "[OII]": [3728.5],
        "HK": lines.CALCIUM_HK,
        "Hb": [4862.7],
        "[OIII]": [4960.3, 5008.2],
        "Mgb": [5174.1],
        "Ha": [6564.6],
        "[SII]": [6725],
    },
    "QSO": {
        "Lya": [1215.7],
        "CIV": [1549.1],
        "CIII]": [1908.7],
        "MgII": [2799.1],
        "Hb": [4862.7],
        "[OIII]": [5008.2],
        "Ha": [6564.6],
    },
}
# Names of lines closer than this would be written over each other.
LETTERS_A = 150.0


@dataclass(frozen=True)
class Example:
    """One spectrum to show: flux and mask on the grid, what it is and was taken for, and where the network looked."""

    name: str
    label: str
    decided: str
    probability: float
    z: float
    flux: list[float]
    mask: list[bool]
    saliency: list[float]  # empty for trees, which have no gradient


def write_pictures(tested: pa.Table, mistakes: list[Example], classes: list[str], folder: Path) -> None:
    """Write `plots/*.png` with captions in `*.txt`.

    Args:
        tested: Predictions with label, survey, snr, zwarning, ood_score, p_known.
        mistakes: Wrong and sure, the surest first.
        classes: Known classes.
        folder: Run folder.
    """
    rejects = "ood_score" in tested.column_names
    or_furthest = ", or the furthest from known spectra," if rejects else ""
    pictures = {
        "by_survey": (
            accuracy_table(tested, classes),
            "Share of clean spectra (no warning of the pipeline, S/N above 2) of each survey and signal-to-noise ratio "
            "that got the right class, and their number. A class that comes from one survey alone can be right for the "
            "wrong reason: see each row by itself.",
        ),
        "risk_coverage": (
            risk_coverage(tested, classes),
            f"Share of errors among the spectra that are kept when the least sure{or_furthest} "
            "are left out first; a sky fibre or unknown kind that is kept counts as an error.",
        ),
    }
    if rejects:
        pictures["rejection"] = (
            rejection(tested, classes),
            "Distance from known training spectra in the network's embedding, for clean spectra of each class and for sky "
            "and unknown kinds.",
        )
    if mistakes:
        caption = "The surest mistakes, smoothed, with the lines of their label at the labelled redshift"
        if mistakes[0].saliency:
            caption += "; below, darker where a change of flux would have changed the decision most"
        pictures["mistakes_with_lines"] = (
            mistake_panels(mistakes),
            f"{caption}.",
        )
    for name, (figure, caption) in pictures.items():
        save_picture(folder, name, figure, caption)


def _decided(tested: pa.Table, classes: list[str]) -> np.ndarray:
    return np.asarray(classes)[probabilities(tested, classes).argmax(1)]


@styled
def accuracy_table(tested: pa.Table, classes: list[str]) -> Figure:
    """Accuracy and count by survey (rows) and signal-to-noise ratio (columns)."""
    clean, right = is_clean(tested, classes), _decided(tested, classes) == column(tested, "label", "")
    survey, snr = column(tested, "survey", ""), column(tested, "snr", np.nan)
    surveys = sorted(set(survey[clean]))
    edges = SNR_EDGES[1:]
    figure, (axes,) = canvas(6.6, 1.3 + 0.45 * (len(surveys) + 1))
    columns = [*itertools.pairwise(edges), (0.0, np.inf)]
    for i, name in enumerate([*surveys, None]):
        for j, (low, high) in enumerate(columns):
            here = clean & (snr > low) & (snr <= high) & ((survey == name) | (name is None))
            share = right[here].mean() if here.any() else np.nan
            text = f"{100 * share:.1f} %\n{here.sum()}" if here.any() else ""
            shade = 0.0 if np.isnan(share) else 0.12 + 0.6 * max(0.0, (1 - share) / 0.25)
            axes.fill_between([j - 0.48, j + 0.48], i - 0.46, i + 0.46, color=BAD, alpha=min(shade, 0.7), linewidth=0)
            axes.text(j, i, text, ha="center", va="center", color=INK, fontsize=8)
    heads = [f"S/N {low:g}-{high:g}" if np.isfinite(high) else f"S/N > {low:g}" for low, high in columns[:-1]]
    axes.set_xticks(range(len(columns)), [*heads, "all"])
    axes.set_yticks(range(len(surveys) + 1), [*[name or "unknown" for name in surveys], "all"])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(surveys) + 0.5, -0.5))
    axes.grid(False)
    return figure


@styled
def risk_coverage(tested: pa.Table, classes: list[str]) -> Figure:
    """Error rate of the kept against the share kept; an unknown kind that is kept is an error too."""
    clean, known = is_clean(tested, classes), np.isin(column(tested, "label", ""), classes)
    wrong = _decided(tested, classes) != column(tested, "label", "")
    sure, distance = probabilities(tested, classes).max(1), column(tested, "ood_score", np.nan)
    figure, (axes,) = canvas()
    orders = {
        "clean, by top probability": (clean, sure),
        "clean, by distance from known spectra": (clean, -distance),
        "clean and unknown kinds, by top probability": (clean | ~known, sure),
        "clean and unknown kinds, by distance": (clean | ~known, -distance),
    }
    for (name, (rows, value)), colour in zip(orders.items(), SERIES, strict=False):
        if np.isnan(value).all():
            continue
        order = np.flatnonzero(rows)[np.argsort(-value[rows], kind="stable")]
        kept = np.arange(1, len(order) + 1)
        axes.plot(kept / len(order), 100 * np.cumsum(wrong[order]) / kept, color=colour, label=name)
    axes.set(xlabel="Share of spectra kept", ylabel="Errors among them (%)", xlim=(0, 1), ylim=(0, None))
    axes.legend()
    return figure


@styled
def rejection(tested: pa.Table, classes: list[str]) -> Figure:
    """Distribution of the distance from known spectra for each label."""
    labels, score = column(tested, "label", ""), column(tested, "ood_score", np.nan)
    clean = is_clean(tested, classes)
    figure, (axes,) = canvas()
    bins = np.linspace(np.nanmin(score), np.nanmax(score) + 1e-6, 40).tolist()
    for name, colour in zip([*classes, *sorted(set(labels) - set(classes) - {None, ""})], SERIES, strict=False):
        here = (labels == name) & (clean | ~np.isin(labels, classes))
        if here.any():
            axes.hist(
                score[here],
                bins,
                weights=np.full(here.sum(), 1 / here.sum()),
                histtype="step",
                color=colour,
                label=f"{name} ({here.sum()})",
                linewidth=1.6,
            )
    axes.set(xlabel="Distance from known spectra", ylabel="Share of spectra")
    axes.legend()
    return figure


@styled
def mistake_panels(mistakes: list[Example]) -> Figure:
    """One panel a spectrum."""
    figure, panels = canvas(9.5, 2.0 * len(mistakes), rows=len(mistakes))
    wavelength = Rebin().wavelength_a
    for axes, example in zip(panels, mistakes, strict=True):
        mask, raw = np.array(example.mask), np.array(example.flux, np.float32)
        flux = np.where(mask, smooth(np.where(mask, raw, 0)[None], 11, 2)[0], np.nan)
        low, high = np.nanpercentile(flux, [0.5, 99.7]) if np.isfinite(flux).any() else (0, 1)
        span = max(high - low, 1e-12)
        axes.plot(GRID_A, flux, color=ACCENT, linewidth=0.7)
        axes.set(
            xlim=(GRID_A[0], GRID_A[-1]),
            ylim=(low - (0.35 if example.saliency else 0.1) * span, high + 0.35 * span),
            yticks=[],
        )
        if example.saliency:
            looked = np.array(example.saliency) / max(*example.saliency, 1e-12)
            x = (
                np.interp(GRID_A, wavelength, looked)
                if len(looked) == len(wavelength)
                else np.interp(np.linspace(0, 1, len(GRID_A)), np.linspace(0, 1, len(looked)), looked)
            )
            axes.imshow(
                x[None],
                extent=(GRID_A[0], GRID_A[-1], low - 0.33 * span, low - 0.2 * span),
                aspect="auto",
                cmap="Greys",
                vmin=0,
                vmax=1,
            )
        z = example.z if np.isfinite(example.z) and example.z > -0.1 else 0.0
        marked = [(w * (1 + z), name) for name, rest in MARKED.get(example.label, {}).items() for w in rest]
        marked = sorted((w, name) for w, name in marked if GRID_A[0] < w < GRID_A[-1])
        before, lower = (-np.inf, ""), False
        for wave, name in marked:
            axes.axvline(wave, color=GOOD, linewidth=0.7, alpha=0.7)
            close = wave - before[0] < LETTERS_A
            if not close or name != before[1]:
                lower = close and not lower
                height = high + (0.08 if lower else 0.2) * span
                axes.text(wave, height, name, fontsize=6.5, color=GOOD, ha="center")
                before = (wave, name)
        taken = f"taken for {example.decided} ({100 * example.probability:.0f} %)"
        title = f"{example.name}: {example.label}, z = {example.z:.3f}, {taken}"
        axes.set_title(title, fontsize=8, color=MUTED)
    panels[-1].set_xlabel("Wavelength (Angstrom, vacuum)")
    return figure
