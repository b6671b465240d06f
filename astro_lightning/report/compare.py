"""Several runs side by side: metrics with intervals, differences on the same objects, and settings that differ."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table
from rich.text import Text

from astro_lightning.data.errors import BadInput
from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.page import folded, html_table, png_image, png_width, small_png, write_page
from astro_lightning.report.run_folder import RunFolder, read_run
from astro_lightning.report.scores import Estimate, confusion_counts, precision_recall_f1
from astro_lightning.report.wording import (
    LOWER_IS_BETTER,
    METRIC_NAMES,
    SIMULATED,
    breakable,
    flat,
    interval,
    metric_name,
    number,
    of_class,
    says_quality,
)

_NOT_SETTINGS = ("paths.", "hydra.")
MAX_RUNS = 12
_FEW_SETTINGS = 30  # more of them, as between two tasks, are shown on demand
_PICTURES = {
    "confusion": "Confusion matrix",
    "reliability": "Reliability",
    "roc": "ROC curves",
    "precision_recall": "Precision and recall",
    "coverage": "Conformal coverage",
    "early": "Accuracy against time",
    "embedding": "Map of the test objects",
}
_PANEL_PX = 740  # natural width of a picture that is still readable at half the page
_PNG_BYTES = 3_300_000  # of all pictures: the page stays below 5 MB


def compare(run_folders: Sequence[Path | str], out: Path | None = None) -> Path:
    """Write a page that sets runs side by side.

    Args:
        run_folders: Two to twelve run folders.
        out: The file to write; by default `compare.html` in the folder above all runs.

    Raises:
        BadInput: Fewer than two or more than twelve folders, or one that is not a run folder.
    """
    runs = _read(run_folders)
    path = out or Path(os.path.commonpath([run.path.resolve().parent for run in runs])) / "compare.html"
    names = _names(runs)
    body = ["<header><h1>Runs side by side</h1>", f'<p class="sub"><span>{len(runs)} runs</span></p></header>']
    body += [f'<div class="warn">{escape(text)}</div>' for text in warnings(runs)]
    tested, other = _metric_rows(runs)
    body.append(_section("Metrics", html_table(["Metric", *names], tested)))
    if rows := _difference_rows(runs):
        note = f"Minus {names[0]}, on the test objects that both scored; paired bootstrap, 95 %. "
        note += "Where the interval holds 0, no difference is shown."
        body.append(_section("Difference from the first run", html_table(["Metric", *names[1:]], rows), note))
    if rows := _class_rows(runs):
        body.append(_section("F1 by class", html_table(["Class", *names], rows)))
    body += _pictures(runs, names)
    if settings := setting_differences(runs):
        cells = [[f"<code>{breakable(key)}</code>", *(escape(str(v)) for v in values)] for key, values in settings]
        table = html_table(["Setting", *names], cells, text_columns=len(runs) + 1)
        few = len(settings) <= _FEW_SETTINGS
        body.append(
            _section("Settings that differ", table) if few else folded(f"{len(settings)} settings that differ", table)
        )
    if other:
        body.append(folded("Training and validation", html_table(["Metric", *names], other)))
    return write_page(path, "Runs side by side", "\n".join(body))


def comparison_table(run_folders: Sequence[Path | str]) -> Table:
    """The metrics and differing settings of several runs, for the terminal."""
    runs = _read(run_folders)
    table = Table("", *(Column(Text(name), overflow="fold") for name in _names(runs)))
    table.caption = Text(" ".join(warnings(runs)))
    for name, estimates in _metrics(runs):
        cells = [f"{number(e.value)} {interval(e)}".strip() if e else "" for e in estimates]
        table.add_row(*map(Text, [name, *cells]))
    table.add_section()
    for key, values in setting_differences(runs):
        table.add_row(*(Text(str(cell)) for cell in (key, *values)))
    return table


def setting_differences(runs: Sequence[RunFolder]) -> list[tuple[str, list[Any]]]:
    """Dotted settings whose values are not the same in all runs, with the value of each run."""
    settings = [flat(run.config) for run in runs]
    keys = list(dict.fromkeys(key for one in settings for key in one if not key.startswith(_NOT_SETTINGS)))
    rows = [(key, [one.get(key, "") for one in settings]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values[1:])]


def warnings(runs: Sequence[RunFolder]) -> list[str]:
    """Why the numbers of these runs should not be set against each other, one sentence each."""
    found = []
    if len({str(run.fingerprint) for run in runs if run.fingerprint}) > 1:
        found.append("The runs differ in their data or splits: their metrics are not comparable as they stand.")
    if any(run.simulated for run in runs):
        found.append(SIMULATED)
    return found


def _read(run_folders: Sequence[Path | str]) -> list[RunFolder]:
    if not 2 <= len(run_folders) <= MAX_RUNS:
        raise BadInput(f"compare takes 2 to {MAX_RUNS} run folders, got {len(run_folders)}")
    return [read_run(folder) for folder in run_folders]


def _names(runs: Sequence[RunFolder]) -> list[str]:
    short = [run.path.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.path) for run in runs]


def _metrics(runs: Sequence[RunFolder]) -> list[tuple[str, list[Estimate | None]]]:
    """Metrics from the predictions, then those that only the runs themselves recorded."""
    rows = [(title, [_estimate(run, name) for run in runs]) for name, title in METRIC_NAMES.items()]
    classes = sorted({name for run in runs if run.predictions for name in run.predictions.classes})
    keys = dict.fromkeys(
        key
        for run in runs
        for key in sorted(run.metrics, key=lambda key: not key.startswith("test/"))
        if key.removeprefix("test/") not in METRIC_NAMES and not of_class(key, classes) and says_quality(key)
    )
    rows += [(key, [Estimate(run.metrics[key]) if key in run.metrics else None for run in runs]) for key in keys]
    return [(title, estimates) for title, estimates in rows if any(estimates)]


def _estimate(run: RunFolder, name: str) -> Estimate | None:
    if run.scores:
        return run.scores.overall.get(name)
    recorded = run.metrics.get(f"test/{name}")
    return None if recorded is None else Estimate(float(recorded))


def _metric_rows(runs: Sequence[RunFolder]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of the test split, and rows of what the stages logged; without a test split, those come first."""
    best = {METRIC_NAMES[name]: min if name in LOWER_IS_BETTER else max for name in METRIC_NAMES}
    tested: list[list[str]] = []
    other: list[list[str]] = []
    for title, estimates in _metrics(runs):
        values = [e.value for e in estimates if e and np.isfinite(e.value)]
        top = best[title](values) if title in best and values else None
        cells = []
        for e in estimates:
            text = f"{number(e.value)} <small>{interval(e)}</small>" if e else ""
            cells.append(f"<b>{text}</b>" if e and e.value == top and values.count(top) == 1 else text)
        of_test = "/" not in title or title.startswith("test/")
        (tested if of_test else other).append([escape(metric_name(title)) if of_test else breakable(title), *cells])
    return (tested, other) if tested else (other, [])


def _pictures(runs: Sequence[RunFolder], names: Sequence[str]) -> list[str]:
    """One section for each picture that two runs or more have, as their reports drew it."""
    room, sections = _PNG_BYTES, []
    for picture, title in _PICTURES.items():
        found = [(name, run.path / "plots" / f"{picture}.png") for name, run in zip(names, runs)]
        shown = [(name, small_png(path)) for name, path in found if path.exists()]
        size = sum(len(content) * 4 // 3 for _, content in shown)
        if len(shown) < 2 or size > room:
            continue
        room -= size
        figures = (
            f'<figure><div class="scroll">{png_image(content, name)}</div><figcaption>{escape(name)}</figcaption></figure>'
            for name, content in shown
        )
        # Two of the large ones beside each other would hide their right halves, or be too small to read.
        panels = "few" if all(png_width(content) <= _PANEL_PX for _, content in shown) else "one"
        sections.append(
            f'<h2>{title}</h2><div class="card"><div class="panels {panels}">{"".join(figures)}</div></div>'
        )
    return sections


def _difference_rows(runs: Sequence[RunFolder]) -> list[list[str]]:
    columns = [_differences(runs[0], run) for run in runs[1:]]
    if not any(columns):
        return []
    return [
        [METRIC_NAMES[name], *(f"{c[i].value:+.3f} <small>{interval(c[i])}</small>" if c else "" for c in columns)]
        for i, name in enumerate(("accuracy", "macro_f1"))
    ]


def _differences(first: RunFolder, other: RunFolder) -> list[Estimate] | None:
    """Accuracy and macro F1 of `other` minus `first` on the objects both scored; None where they do not match."""
    a, b = first.predictions, other.predictions
    if not (a and b and first.scores and other.scores) or first.scores.classes != other.scores.classes:
        return None
    a, b = a.scored(), b.scored()
    if len(set(a.ids)) < len(a.ids) or len(set(b.ids)) < len(b.ids):
        return None
    _, i, j = np.intersect1d(a.ids.astype(str), b.ids.astype(str), return_indices=True)
    if not len(i) or (a.truth[i] != b.truth[j]).any():
        return None
    n = len(a.classes)

    def difference(truth: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        f1 = [np.nanmean(precision_recall_f1(confusion_counts(truth, p, n))[2]) for p in (one, two)]
        return np.array([(two == truth).mean() - (one == truth).mean(), f1[1] - f1[0]])

    arrays = (a.truth[i], a.predicted[i], b.predicted[j])
    low, high = bootstrap(difference, arrays, groups=None if a.groups is None else a.groups[i])
    return [Estimate(*map(float, e)) for e in zip(difference(*arrays), low, high)]


def _class_rows(runs: Sequence[RunFolder]) -> list[list[str]]:
    scored = [dict(zip(r.scores.classes, r.scores.per_class["f1"])) if r.scores else {} for r in runs]
    names = list(dict.fromkeys(name for one in scored for name in one))
    return [[escape(name), *(number(float(one[name])) if name in one else "" for one in scored)] for name in names]


def _section(title: str, content: str, note: str = "") -> str:
    note = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<h2>{escape(title)}</h2><div class="card">{content}{note}</div>'
