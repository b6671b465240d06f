"""The verbs beside a run: tasks, datasets, fetch; and the help. Nothing heavy is imported before it is needed."""

import os
from collections.abc import Callable
from pathlib import Path

import yaml

from astro_lightning.core.conf import conf_folder, configs
from astro_lightning.data.errors import BadInput

GROUPS = {
    "task": "what is done",
    "data": "on which survey's files",
    "model": "with which network",
    "trainer": "where it runs",
    "logger": "who keeps the metrics",
    "callbacks": "what watches the run",
    "experiment": "a whole recipe with its numbers in the docs",
    "sweep": "how -m searches",
    "debug": "short runs that find faults",
}
EXAMPLES = """\
  python -m astro_lightning                                                 pretrain, fine-tune, test on the synthetic twin
  python -m astro_lightning task=plasticc data=mallorn trainer=cpu          on real light curves ($ASTRO_LIGHTNING_DATA)
  python -m astro_lightning task=plasticc_pretrain trainer=gpu logger=wandb pretraining alone, on a GPU, followed with W&B
  python -m astro_lightning -m optimizer.lr=1e-3,3e-4 seed=0,1,2            a grid of six runs and their table
  python -m astro_lightning mode=predict ckpt=RUN data.path=FILE out=scores.parquet   score a file with a finished run"""


def help_text() -> str:
    """What can be typed, for people."""
    lines = [
        "Astro Lightning: experiments on light curves, spectra and alert images.",
        "",
        "Examples:",
        EXAMPLES,
        "",
        "Tasks (task=...):",
    ]
    lines += [f"  {name:<20} {_about(comment)}" for name, (comment, _) in configs("task").items()]
    lines += ["", "Groups (group=choice):"]
    for group, meaning in GROUPS.items():
        lines.append(f"  {group:<12} {meaning}: {', '.join(name for name in configs(group) if name != 'none')}")
    lines += ["", "Single values (key=value; all of them with their meaning: --cfg job, and the comments in conf/):"]
    for line in (conf_folder() / "config.yaml").read_text().splitlines():
        key, _, comment = line.partition("#")
        if comment and not line.startswith((" ", "#")) and ":" in key:
            lines.append(f"  {key.split(':')[0].strip():<12} {comment.strip()}")
    lines += [
        "",
        "Verbs:",
        *(f"  astro-lightning {name:<20} {(verb.__doc__ or '').splitlines()[0]}" for name, verb in VERBS.items()),
        "",
        "  resume=RUN_FOLDER goes on with a stopped run;  -m runs a sweep;  --cfg job shows the composed configuration.",
        '  Completion with Tab: eval "$(astro-lightning -sc install=bash)"',
    ]
    return "\n".join(lines)


def call(words: list[str]) -> None:
    """Call a verb.

    Raises:
        BadInput: No such verb.
    """
    name, *rest = words
    if name not in VERBS:
        raise BadInput(
            f"{name!r} is neither a verb ({', '.join(VERBS)}) nor a setting (key=value); see astro-lightning --help"
        )
    VERBS[name](rest)


def tasks(words: list[str]) -> None:
    """List the tasks, installed plug-ins included."""
    for name, (comment, file) in configs("task").items():
        print(f"{name:<20} {_about(comment)}\n{'':<20} {file}")


def datasets(words: list[str]) -> None:
    """List the data sets, with where their data come from and whether they are here."""
    for name, (comment, _) in configs("data").items():
        print(f"{name:<20} {_about(comment)}\n{'':<20} {_where(name)}")


def fetch(words: list[str]) -> None:
    """Download published data: astro-lightning fetch NAME [FOLDER]."""
    from astro_lightning.data.fetch import RemoteFile
    from astro_lightning.data.fetch import fetch as download
    from astro_lightning.data.locate import fetched

    if not 1 <= len(words) <= 2:
        raise BadInput("fetch takes the name of a data set (see astro-lightning datasets) and, if you like, a folder")
    data = _data(words[0])
    if not data.get("files"):
        raise BadInput(
            f"{words[0]} has no published download: {data.get('source') or 'set data.root to your own copy'}"
        )
    folder = Path(words[1]).expanduser() if len(words) > 1 else fetched(data, _cache())
    files = [RemoteFile(**file) for file in data["files"]]
    for path in download(files, folder):
        print(path)


def convert(words: list[str]) -> None:
    """Convert to Parquet: astro-lightning convert FOLDER_OF_SPECTRA OUT.parquet, or convert plasticc CSV_FOLDER OUT_FOLDER."""
    if len(words) not in (2, 3):
        raise BadInput(
            "convert takes an input and an output, and before them the name of the data set if it is not spectra"
        )
    name = words[0] if len(words) == 3 else "spectra"
    source, out = (Path(word).expanduser() for word in words[-2:])
    if name == "spectra":
        from astro_lightning.data.surveys.spectra_convert import convert_spectra

        done = convert_spectra(source, out)
        for file, reason in done.skipped:
            print(f"skipped: {file}: {reason}")
        print(f"{done.n_spectra} spectra: {out}")
        return
    from astro_lightning.core.build import build
    from astro_lightning.data.long_tables import LongTableSurvey

    data = _data(name)
    reader = build(data["reader"], memory_gib=data["memory_gib"]) if isinstance(data["reader"], dict) else None
    if not isinstance(reader, LongTableSurvey):
        raise BadInput(f"{name} is read as it is: nothing to convert")
    for part in reader.convert(source, out):
        print(part)


def features(words: list[str]) -> None:
    """Measure the features of light curves: astro-lightning features IN OUT.parquet, or features asas IN OUT.parquet."""
    if len(words) not in (2, 3):
        raise BadInput("features takes a light-curve file or folder and the Parquet file to write")
    from astro_lightning.core.build import build

    data = _data(words[0] if len(words) == 3 else "catalina")
    survey = build(data["reader"], memory_gib=data["memory_gib"])
    source, out = (Path(word).expanduser() for word in words[-2:])
    measure = {"_target_": "astro_lightning.tasks.scope.catalogue.write_features"}
    n = build(measure, survey=survey, path=source, out=out, cache=_cache() / "features")
    print(f"{n} objects measured: {out}")


def compare(words: list[str]) -> None:
    """Compare finished runs side by side: astro-lightning compare RUN RUN ..."""
    if len(words) < 2:
        raise BadInput("compare takes two or more run folders")
    from rich.console import Console

    from astro_lightning.report.compare import compare as write
    from astro_lightning.report.compare import comparison_table

    runs = [Path(word).expanduser() for word in words]
    Console().print(comparison_table(runs))
    print(f"Report: {write(runs)}")


VERBS: dict[str, Callable[[list[str]], None]] = {
    "tasks": tasks,
    "datasets": datasets,
    "fetch": fetch,
    "convert": convert,
    "features": features,
    "compare": compare,
}


def _about(comment: str) -> str:
    # The comment's second part, after a run of blanks, is how to type it.
    return comment.split("   ")[0]


def _data(name: str) -> dict:
    found = configs("data")
    if name not in found:
        raise BadInput(f"data set {name!r} is unknown; these are there: {', '.join(found)}")
    own = yaml.safe_load(found[name][1].read_text()) or {}
    parents = [parent for parent in own.get("defaults", []) if parent != "_self_"]
    merged: dict = {}
    for parent in parents:
        merged |= _data(str(parent))
    return merged | own


def _where(name: str) -> str:
    from astro_lightning.data.locate import locate

    data = _data(name)
    if data["name"] == "simulated":
        return "made on the spot"
    try:
        return f"here: {locate(data, _cache())}"
    except BadInput:
        source = data.get("source") or "your own files"
        return f"not here; {source}" + (f"; astro-lightning fetch {name}" if data.get("files") else "")


def _cache() -> Path:
    return Path(os.environ.get("ASTRO_LIGHTNING_CACHE", "~/.cache/astro_lightning")).expanduser()
