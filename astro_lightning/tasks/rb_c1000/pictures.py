"""Pictures of a run of the loop: cutouts of its worst mistakes and of what it asked about, and score against labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astro_lightning.data.records import Records
from astro_lightning.report.mistakes import mistaken_objects
from astro_lightning.report.style import ACCENT, BAD, GOOD, MUTED, canvas, save_png, styled
from astro_lightning.tasks.rb_c1000.data import pixels
from astro_lightning.tasks.rb_c1000.preprocess import preprocess

MOST_CUTOUTS = 15
# What a stage's name begins with, how it is called and drawn.
KINDS = (
    ("its", "first labels", ACCENT, "o"),
    ("random", "labels at random", MUTED, "s"),
    ("als", "labels selected", BAD, "^"),
    ("peer", "other learner, labels selected", BAD, "v"),
    ("ssls", "and the pool's pseudo labels", GOOD, "D"),
)


def write_label_efficiency(folder: Path, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Draw `plots/label_efficiency.png` of stage -> test scores, `n_labels` among them."""
    caption = "Sum of the six test metrics against the labels that an expert gave, validation included; dashed: all labels of the "
    _write(folder, "label_efficiency", label_efficiency(scores), caption + "pool.")


def write_mistakes(folder: Path, records: Records, rows: np.ndarray) -> None:
    """Draw `plots/mistaken_cutouts.png` of test objects, where there are stamps and mistakes.

    Args:
        folder: The run folder, with `predictions.parquet`.
        records: Of the survey.
        rows: The test objects.
    """
    if "stamp" not in records.fixed:
        return
    worst = mistaken_objects(folder / "predictions.parquet", records, rows)[:MOST_CUTOUTS]
    if not len(worst):
        return
    caption = "The wrongly classified test objects that the model was most sure of: science, reference and difference, each on its "
    is_real = np.array(worst["label"].to_pylist()) == "real"
    figure = cutouts(stamps(records, worst["row"].to_numpy()), is_real, worst["prob_real"].to_numpy())
    _write(folder, "mistaken_cutouts", figure, caption + "own scale.")


def write_asked(folder: Path, records: Records, rows: np.ndarray, is_real: np.ndarray, p_real: np.ndarray) -> None:
    """Draw `plots/hardest_cutouts.png` of the objects that the expert was asked about, in that order.

    Args:
        folder: The run folder.
        records: Of the survey.
        rows: The objects.
        is_real: (n,) the answers.
        p_real: (n,) what the model had thought: the probability of being real.
    """
    if "stamp" not in records.fixed or not len(rows):
        return
    first = slice(0, MOST_CUTOUTS)
    caption = "The hardest pool objects: those the expert was asked about first, with the answer and what the model had thought."
    figure = cutouts(stamps(records, rows[first]), is_real[first], p_real[first])
    _write(folder, "hardest_cutouts", figure, caption)


def stamps(records: Records, rows: np.ndarray) -> np.ndarray:
    """Stamps (n, 3, side, side) on the scale on which the eye sees most."""
    return preprocess(pixels(records, rows), "robust")


@styled
def cutouts(stamps: np.ndarray, is_real: np.ndarray, p_real: np.ndarray) -> Figure:
    """Three cutouts for each object, five objects a row; titles say the truth and the model's probability of being real."""
    n = min(len(stamps), MOST_CUTOUTS)
    columns = min(n, 5)
    rows = -(-n // columns)
    figure, axes = canvas(1.0 + 1.95 * columns, 1.0 * rows + 0.3, rows, columns)
    for ax in axes:
        ax.set_axis_off()
    for ax, stamp, real, p in zip(axes, stamps, is_real, p_real):
        low, high = np.percentile(stamp, [1, 99.7], axis=(1, 2))
        scaled = (stamp - low[:, None, None]) / np.maximum(high - low, 1e-6)[:, None, None]
        gap = np.full((stamp.shape[1], max(1, stamp.shape[1] // 20)), np.nan)
        strip = np.hstack([scaled[0], gap, scaled[1], gap, scaled[2]])
        ax.imshow(np.clip(strip, 0, 1), cmap="gray", origin="lower", interpolation="nearest")
        ax.set_title(f"{'real' if real else 'bogus'}, p(real) {p:.3f}", fontsize=7.5, fontweight="normal")
    return figure


@styled
def label_efficiency(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Sum against labels given; `full` is a line."""
    figure, (axes,) = canvas(4.7, 3.6)
    given = [of["n_labels"] for stage, of in scores.items() if stage != "full"]
    for start, label, colour, symbol in KINDS:
        found = [of for stage, of in scores.items() if stage.startswith(start)]
        x, y = [of["n_labels"] for of in found], [of["sum"] for of in found]
        axes.plot(x, y, symbol, color=colour, label=label if found else None, markersize=7, alpha=0.85)
    if "full" in scores:
        full = scores["full"]
        axes.axhline(full["sum"], color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(f"all {full['n_labels']:,.0f} labels", (0.02, full["sum"]), xycoords=("axes fraction", "data"),
                      xytext=(0, 3), textcoords="offset points", fontsize=8.5, color=MUTED)  # fmt: skip
    margin = 0.15 * (max(given) - min(given)) or 1
    axes.set(xlabel="labels given", ylabel="Sum (at most 600)", xlim=(min(given) - margin, max(given) + margin))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _write(folder: Path, name: str, figure: Figure, caption: str) -> None:
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    save_png(figure, plots / f"{name}.png")
    (plots / f"{name}.txt").write_text(caption, encoding="utf-8")
