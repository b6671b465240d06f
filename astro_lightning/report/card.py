"""`model_card.md`: what a trained model is, what it was measured on, and where it should not be trusted."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from astro_lightning.core.provenance import write_text
from astro_lightning.report.early import METRICS, early_table
from astro_lightning.report.labels import LABEL_TABLE, read_label_table
from astro_lightning.report.run_folder import RunFolder, read_run
from astro_lightning.report.wording import (
    METRIC_NAMES,
    SIMULATED,
    estimated,
    interval,
    metric_name,
    number,
    of_class,
    says_quality,
)

_FEW = 30
_NO_INTERVALS = "One training run with one seed: its numbers have no intervals."
_OF_OBJECTS = "One training run with one seed: the intervals cover the choice of test objects only."


def write_card(run_folder: Path) -> Path:
    """Write `model_card.md` into a run folder.

    Raises:
        BadInput: Not a run folder, or one of its files is not readable.
    """
    run = read_run(run_folder)
    sections = {
        "Data": _data(run),
        "Numbers": _numbers(run),
        "By class": _by_class(run),
        "By label": _by_label(run),
        "While the light curves grow": _early(run),
        "Limits": "\n".join(f"- {limit}" for limit in limits(run)),
        "Licence": _licence(run),
        "How to cite": _citation(run),
        "How to repeat": f"```bash\n{run.command}\n```" if run.command else "",
    }
    text = f"# {run.setting('task', 'title') or run.task}\n\nRun `{run.path.name}` of task `{run.task}`"
    text += f", seed {run.provenance.get('seed', 'not recorded')}, astro-lightning {_version(run)}.\n"
    if run.simulated:
        text += f"\n> **{SIMULATED}**\n"
    text += "".join(f"\n## {title}\n\n{content}\n" for title, content in sections.items() if content)
    path = run.path / "model_card.md"
    write_text(path, text)
    return path


def limits(run: RunFolder) -> list[str]:
    """What the numbers of a run do not say, one sentence each."""
    found = list(run.setting("task", "limits") or [])
    if run.config.get("mode") == "calibrate":
        found.append(
            f"Trained by the run {run.config['ckpt']}; these objects calibrate it, and each was tested against the others."
        )
    if run.simulated:
        found.append("Trained and tested on simulated objects: nothing here says how it does on the sky.")
    scores = run.scores
    if scores is None:
        tested = any(key.startswith("test/") for key in run.metrics)
        if tested:
            return [*found, _OF_OBJECTS if (run.path / LABEL_TABLE).exists() else _NO_INTERVALS]
        return [*found, "Nothing was tested against labels: this run states no quality."]
    found.append(_OF_OBJECTS)
    objects = scores.per_class["objects"]
    few = [_cell(name) for name, count in zip(scores.classes, objects) if 0 < count < _FEW]
    none = [_cell(name) for name, count in zip(scores.classes, objects) if not count]
    if few:
        found.append(f"Fewer than {_FEW} test objects, so that their numbers are weak: {', '.join(few)}.")
    if none:
        found.append(f"Never measured, as the test split holds none: {', '.join(none)}.")
    if scores.n_doubtful:
        found.append(f"{scores.n_doubtful:,} test objects that the task calls doubtful were left out of the metrics.")
    if scores.n_other:
        found.append(f"{scores.n_other:,} test objects of classes that it does not know were left out of the metrics.")
    off = scores.overall["calibration_error"].value
    if off > 0.05:
        found.append(f"Its probabilities are off by {off:.2f} on average: calibrate before use.")
    return found


def _data(run: RunFolder) -> str:
    lines = [f"- Data: {run.data}"]
    lines += [f"- SHA-256 of {name}: `{value}`" for name, value in run.fingerprint.items()]
    if run.splits:
        lines += ["", _table(["Split", "Objects"], ([part, number(n)] for part, n in run.splits.items()))]
    if run.splits_note:
        lines += ["", run.splits_note]
    return "\n".join(lines)


def _numbers(run: RunFolder) -> str:
    if run.scores is None:
        recorded = [key for key in run.metrics if says_quality(key) and "/speed/" not in key]
        recorded.sort(key=lambda key: not key.startswith("test/"))
        return _table(["Metric", "Value"], ([key, number(run.metrics[key], 4)] for key in recorded))
    scores = run.scores
    rows = [
        [METRIC_NAMES[k], number(e.value), interval(e) or "none"]
        for k, e in scores.overall.items()
        if k in METRIC_NAMES
    ]
    rows += [
        [metric_name(key), number(value, 4), interval(scores.interval(key, value), 4) or "none"]
        for key, value in run.metrics.items()
        if key.startswith("test/")
        and says_quality(key)
        and key.removeprefix("test/") not in METRIC_NAMES
        and not of_class(key, scores.classes)
    ]
    return (
        f"Test split, {scores.n_scored:,} objects; intervals by bootstrap over {scores.n_units:,} {scores.unit}.\n\n"
        + _table(["Metric", "Value", "95 % interval"], rows)
    )


def _by_class(run: RunFolder) -> str:
    if run.scores is None:
        return ""
    columns = run.scores.per_class
    trained, rows = run.training_counts, []
    for i, name in enumerate(run.scores.classes):
        low, high = columns["f1_low"][i], columns["f1_high"][i]
        bounds = "" if math.isnan(low) or not columns["objects"][i] else f" [{low:.3f}, {high:.3f}]"
        values = [number(float(columns[c][i])) for c in ("precision", "recall", "f1")]
        objects = [number(trained.get(name)), number(int(columns["objects"][i]))]
        rows.append([name, *objects, *values[:2], values[2] + bounds])
    return _table(["Class", "Training objects", "Test objects", "Precision", "Recall", "F1"], rows)


def _by_label(run: RunFolder) -> str:
    rows = [
        [
            row["label"],
            *(number(int(row[name])) for name in ("objects", "positives")),
            *(number(float(row[name])) for name in ("precision", "recall")),
            estimated(row, "f1"),
        ]
        for row in read_label_table(run.path)
    ]
    return _table(["Label", "Test objects", "That have it", "Precision", "Recall", "F1"], rows) if rows else ""


def _early(run: RunFolder) -> str:
    cut = run.example("early")
    if cut is None:
        return ""
    rows = [
        [
            "whole curve" if math.isinf(row["days"]) else f"{row['days']:g}",
            number(int(row["objects"])),
            *(estimated(row, name) for name in METRICS),
        ]
        for row in early_table(cut).to_dict("records")
    ]
    return _table(["Days since the first detection", "Objects", *map(metric_name, METRICS)], rows)


def _licence(run: RunFolder) -> str:
    source = "made by this code" if run.simulated else "see the source of the data"
    return f"Code: MIT. Data: {run.setting('data', 'licence') or source}."


def _citation(run: RunFolder) -> str:
    data = run.setting("data", "citation")
    cite = f"astro-lightning {_version(run)} (`CITATION.cff` in its repository)"
    if run.simulated:
        return f"{cite}."
    return f"{cite}; data: {data}." if data else f"{cite}, and the source of the data."


def _version(run: RunFolder) -> str:
    versions = run.provenance.get("versions") or {}
    return str(versions.get("astro-lightning") or "version not recorded")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
