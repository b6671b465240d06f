"""`report.html`: one run on one page that opens from disk, offline, on any screen."""

import base64
import json
import math
import re
from html import escape
from pathlib import Path

import yaml

from astro_lightning.report.labels import read_label_table
from astro_lightning.report.mistakes import confident_mistakes
from astro_lightning.report.page import folded, html_table, least_width, png_image, small_png, tile, write_page
from astro_lightning.report.plots import Picture, write_plots
from astro_lightning.report.run_folder import RunFolder, read_run
from astro_lightning.report.scores import Scores
from astro_lightning.report.wording import (
    METRIC_NAMES,
    SIMULATED,
    breakable,
    duration,
    estimated,
    flat,
    interval,
    metric_name,
    number,
    of_class,
    says_quality,
)

_BYTES = 4_000_000  # room for pictures, as they stand in the page; it stays below 5 MB
_TILES = 6


def write_report(run_folder: Path) -> Path:
    """Draw all pictures of a run and write `report.html` into its folder.

    Only `config.yaml` has to be there; what is missing is left out of the page.

    Raises:
        BadInput: Not a run folder, or one of its files is not readable.
    """
    run = read_run(run_folder)
    pictures = write_plots(run)
    curves = [p for p in pictures if p.name in ("mistaken_light_curves", "light_curves")]
    others = [p for p in pictures if p not in curves]
    room = _BYTES
    shown = []
    for picture in others:
        content, room = _figure(picture, room)
        shown.append(content)
    body = [
        _headline(run),
        _tiles(run),
        _per_class(run, run.scores) if run.scores else "",
        _per_label(run),
        f'<h2>Pictures</h2><div class="grid">{"".join(shown)}</div>' if shown else "",
        *(f"<h2>{escape(picture.title)}</h2>{_panels(picture)}" for picture in curves),
        _mistakes(run),
        _recorded(run),
        _reproduce(run),
        _data(run),
        _provenance(run),
    ]
    return write_page(run.path / "report.html", f"{_title(run)} · {run.path.name}", "\n".join(filter(None, body)))


def _title(run: RunFolder) -> str:
    return str(run.setting("task", "title") or run.task)


def _headline(run: RunFolder) -> str:
    facts = [f"run {run.path.name}", f"data {run.data}"]
    about = run.provenance
    if isinstance(about.get("seconds"), int | float):
        facts.append(f"took {duration(about['seconds'])}")
    if about.get("seed") is not None:
        facts.append(f"seed {about['seed']}")
    tag = '<span class="tag">SIMULATED</span>' if run.simulated else ""
    warning = f'<div class="warn">{escape(SIMULATED)}</div>' if run.simulated else ""
    line = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return f'<header><h1>{escape(_title(run))}{tag}</h1><p class="sub">{line}</p>{warning}</header>'


def _tiles(run: RunFolder) -> str:
    scores = run.scores
    if scores:
        shown = [name for name in METRIC_NAMES if name in scores.overall][:_TILES]
        tiles = [
            tile(METRIC_NAMES[name], number(scores.overall[name].value), interval(scores.overall[name]))
            for name in shown
        ]
        # What only this task measures: the contest's loss, the detection of unknown classes.
        own = [key for key in run.metrics if key.startswith("test/") and not of_class(key, scores.classes)]
        own = [key for key in own if key.removeprefix("test/") not in METRIC_NAMES and says_quality(key)]
        tiles += [
            tile(metric_name(key), number(run.metrics[key]), interval(scores.interval(key, run.metrics[key])))
            for key in own[:_TILES]
        ]
        return f'<div class="tiles">{"".join(tiles)}</div>{_scored_note(scores)}'
    finite = {k: v for k, v in run.metrics.items() if isinstance(v, int | float) and math.isfinite(v)}
    finite = {k: v for k, v in finite.items() if says_quality(k)}
    if tested := [k for k in finite if k.startswith("test/")]:
        tiles = [tile(metric_name(k), number(finite[k])) for k in tested[: 2 * _TILES]]
        text = "Test split, as the run recorded it, without intervals."
    else:
        first = sorted(finite, key=lambda k: ("val/" not in k, "loss" not in k))[:_TILES]
        tiles = [tile(k.replace("_", " "), number(finite[k])) for k in first]
        text = "Nothing was tested against labels in this run: values of its training and validation."
    note = f'<p class="note">{text}</p>'
    return f'<div class="tiles">{"".join(tiles)}</div>{note}' if tiles else note


def _scored_note(scores: Scores) -> str:
    left_out = {
        "without a label": scores.n_unlabelled,
        "with a label that is not among the classes": scores.n_other,
        "with missing probabilities": scores.n_not_finite,
        "that the task calls doubtful": scores.n_doubtful,
    }
    text = f"Test split of {scores.n_scored:,} objects. In brackets: 95 % bootstrap intervals over {scores.n_units:,} "
    text += f"{scores.unit} of the test split; they do not cover the scatter between training seeds."
    for what, count in left_out.items():
        if count:
            text += f" Not scored: {count:,} {what}."
    return f'<p class="note">{escape(text)}</p>'


def _per_class(run: RunFolder, scores: Scores) -> str:
    columns = scores.per_class
    trained, rows = run.training_counts, []
    for i, name in enumerate(scores.classes):
        bounds = (
            f"{columns['f1_low'][i]:.3f}–{columns['f1_high'][i]:.3f}" if math.isfinite(columns["f1_low"][i]) else ""
        )
        bars = [_bar(columns[c][i], bounds if c == "f1" else "") for c in ("f1", "precision", "recall")]
        areas = [number(float(columns[c][i])) for c in ("roc_auc", "pr_auc")]
        counts = [number(int(columns["objects"][i])), *([number(trained.get(name))] if trained else [])]
        rows.append([escape(name), *bars, *areas, *counts])
    counted = ["Tested on", "Trained on"] if trained else ["Tested on"]
    tall = " tall" if len(rows) > 24 else ""
    header = ["Class", "F1 (95 %)", "Precision", "Recall", "ROC AUC", "PR AUC", *counted]
    return f'<h2>By class</h2><div class="card{tall}">{html_table(header, rows)}</div>'


def _per_label(run: RunFolder) -> str:
    rows = [
        [
            escape(row["label"]),
            estimated(row, "f1"),
            *(number(float(row[name])) for name in ("precision", "recall", "roc_auc", "average_precision")),
            *(number(int(row[name])) for name in ("objects", "positives")),
        ]
        for row in read_label_table(run.path)
    ]
    header = ["Label", "F1 (95 %)", "Precision", "Recall", "ROC AUC", "PR AUC", "Tested on", "That have it"]
    return f'<h2>By label</h2><div class="card">{html_table(header, rows)}</div>' if rows else ""


def _bar(value: float, note: str) -> str:
    if math.isnan(value):
        return '<td class="num">n/a</td>'
    note = f" <small>{note}</small>" if note else ""
    return f'<td class="num bar" style="--share:{100 * value:.1f}%">{value:.3f}{note}</td>'


def _figure(picture: Picture, room: int) -> tuple[str, int]:
    """The picture as HTML, and how many bytes of pictures may still follow; those that are not drawn here give way."""
    head, caption = f"<h3>{escape(picture.title)}</h3>", f"<figcaption>{escape(picture.caption)}</figcaption>"
    if picture.svg:
        image = _svg_image(picture.svg[0], picture.title)
    else:
        image = png_image(small_png(picture.png), picture.title)
        if len(image) > room:
            image = f'<p class="note">Too large for this page: plots/{escape(picture.png.name)}</p>'
    room -= len(image)
    wide = ' class="card wide"' if picture.wide else ' class="card"'
    return f'<figure{wide}>{head}<div class="scroll">{image}</div>{caption}</figure>', room


def _panels(picture: Picture) -> str:
    images = "".join(_svg_image(svg, f"{picture.title} {i + 1}") for i, svg in enumerate(picture.svg))
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>"
    return f'<figure class="card"><div class="panels">{images}</div>{caption}</figure>'


def _svg_image(svg: str, title: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    points = re.search(r'<svg[^>]* width="([\d.]+)pt"', svg)
    least = least_width(float(points[1]) * 4 / 3) if points else ""
    return f'<img alt="{escape(title)}"{least} src="data:image/svg+xml;base64,{data}">'


def _mistakes(run: RunFolder) -> str:
    found = confident_mistakes(run.predictions) if run.predictions else []
    if not found:
        return ""
    rows = [
        [f"<code>{escape(m.id)}</code>", *map(escape, (m.label, m.predicted)), *map(number, (m.p_predicted, m.p_label))]
        for m in found
    ]
    header = ["Object", "Label", "Predicted", "p (predicted)", "p (label)"]
    return folded(f"The {len(found)} most confident mistakes", html_table(header, rows, text_columns=3))


def _recorded(run: RunFolder) -> str:
    if not run.metrics:
        return ""
    rows = []
    classes = run.scores.classes if run.scores else ()
    keys = [key for key in run.metrics if "/lr-" not in key and not of_class(key, classes)]
    for key in sorted(keys, key=lambda k: (not k.startswith("test/"), k)):
        value = run.metrics[key]
        found = run.scores.interval(key, value) if run.scores and isinstance(value, float) else None
        rows.append([f"<code>{breakable(key)}</code>", number(value, 4), *([interval(found)] if run.scores else [])])
    header = ["Metric", "Value", *(["95 %"] if run.scores else [])]
    return folded("All recorded metrics", html_table(header, rows))


def _reproduce(run: RunFolder) -> str:
    if not run.command:
        return ""
    return f'<h2>Reproduce</h2><div class="card"><pre>{escape(run.command)}</pre></div>'


def _data(run: RunFolder) -> str:
    facts = {"Data": run.data}
    facts |= {title: run.setting("data", key) for key, title in (("licence", "Licence"), ("citation", "Cite"))}
    facts |= {f"SHA-256 of {name}": value for name, value in run.fingerprint.items()}
    rows = [[escape(name), f"<code>{escape(str(value))}</code>"] for name, value in facts.items() if value]
    table = html_table([], rows, text_columns=2)
    parts = ([escape(part), number(n)] for part, n in run.splits.items())
    note = f'<p class="note">{escape(run.splits_note)}</p>' if run.splits_note else ""
    splits = f'<div class="card">{html_table(["Split", "Objects"], parts)}{note}</div>' if run.splits else ""
    return f'<h2>Data</h2><div class="grid data"><div class="card">{table}</div>{splits}</div>'


def _provenance(run: RunFolder) -> str:
    shown = {k: v for k, v in run.provenance.items() if k not in ("data", "command")}
    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in flat(shown).items()}
    rows = [[f"<code>{breakable(key)}</code>", f"<code>{escape(text)}</code>"] for key, text in texts.items()]
    content = folded("Versions, code and machine", html_table([], rows, text_columns=2)) if rows else ""
    text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    return f"<h2>How it was made</h2>{content}" + folded("Configuration", f"<pre>{escape(text)}</pre>")
