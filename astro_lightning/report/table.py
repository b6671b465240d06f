"""Tables for the terminal at the end of a run and of a sweep."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from astro_lightning.report.run_folder import read_run
from astro_lightning.report.scores import Scores
from astro_lightning.report.wording import interval, metric_name, number, of_class

_CLASSES = 20  # more would push the metrics off the screen; the report has them all
_SWEEP_METRICS = ("test/accuracy", "test/macro_f1", "test/log_loss")


def print_metrics(metrics: Mapping[str, float], folder: Path, console: Console | None = None) -> None:
    """Print the metrics of a run, those of the test split first and with their intervals, and where its report is.

    Args:
        metrics: `test/<metric>` or `<stage>/<metric>` -> value; those of single classes get their own table.
        folder: The run folder.
        console: Where to print; the terminal unless given.
    """
    console = console or Console()
    run = read_run(folder)
    scores = run.scores
    table = Table(title="Simulated data: not evidence of quality" if run.simulated else None)
    for name in ("Of", "Metric", "Value", "95 % interval"):
        table.add_column(name, justify="right" if name == "Value" else "left", overflow="fold")
    shown = (key for key in metrics if "/lr-" not in key)
    keys = [key for key in shown if not of_class(key, scores.classes if scores else ())]
    last = None
    for key in sorted(keys, key=lambda k: (not k.startswith("test/"), k.partition("/")[0])):
        split, _, name = key.partition("/")
        if last not in (None, split):
            table.add_section()
        found = scores.interval(key, metrics[key]) if scores else None
        of, _, last_name = name.rpartition("/")
        label = f"{of.replace('/', ' ')}: {metric_name(last_name)}" if of else metric_name(name)
        cells = ["" if split == last else split, label, number(metrics[key], 4), interval(found, 4)]
        table.add_row(*map(Text, cells))
        last = split
    console.print(table)
    if scores and len(scores.classes) <= _CLASSES:
        console.print(_class_table(scores))
    if (folder / "report.html").exists():
        console.print(Text(f"Report: {folder / 'report.html'}"), soft_wrap=True)


def sweep_table(jobs: Sequence[Mapping[str, Any]]) -> Table:
    """The jobs of a sweep, best first; jobs without an objective (failed) come last.

    Args:
        jobs: Each as its `job.json` has it: `objective` (None or NaN where it failed), `monitor` (the objective's
            name), `mode` (`min` or `max`), `overrides` (`key=value` texts), `job` (its number) and `metrics`.
    """

    def failed(job: Mapping[str, Any]) -> bool:
        return job.get("objective") is None or math.isnan(job["objective"])

    def rank(job: Mapping[str, Any]) -> tuple[bool, float]:
        sign = -1 if job.get("mode") == "max" else 1
        return failed(job), 0.0 if failed(job) else sign * job["objective"]

    monitor = next((str(job["monitor"]) for job in jobs if job.get("monitor")), "Objective")
    tested = [key for key in _SWEEP_METRICS if any(key in (job.get("metrics") or {}) for job in jobs)]
    table = Table("Job", title=f"Sweep of {len(jobs)} jobs, best first")
    table.add_column("Overrides", overflow="fold")
    shared = set.intersection(*(set(map(str, job.get("overrides", ()))) for job in jobs)) if len(jobs) > 1 else set()
    for name in (monitor, *tested):
        table.add_column(Text(name), justify="right")
    for place, job in enumerate(sorted(jobs, key=rank)):
        cells = [
            str(job.get("job", "")),
            " ".join(word for word in map(str, job.get("overrides", ())) if word not in shared),
            "failed" if failed(job) else number(float(job["objective"]), 4),
            *(number((job.get("metrics") or {}).get(key), 4) for key in tested),
        ]
        table.add_row(*map(Text, cells), style="dim" if failed(job) else "bold" if place == 0 else None)
    return table


def _class_table(scores: Scores) -> Table:
    table = Table("Class")
    for name in ("Objects", "Precision", "Recall", "F1"):
        table.add_column(name, justify="right")
    for i, name in enumerate(scores.classes):
        shares = (number(float(scores.per_class[c][i])) for c in ("precision", "recall", "f1"))
        table.add_row(*map(Text, [name, number(int(scores.per_class["objects"][i])), *shares]))
    return table
