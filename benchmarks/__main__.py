"""How good and how fast: every row in a process of its own, into benchmarks/results and docs/results.md.

    python -m benchmarks                      # all: quality on the real sets, then speed
    python -m benchmarks spectra scope        # the quality of these tasks
    python -m benchmarks speed                # the speed alone
    python -m benchmarks scope seeds=0,1,2    # the quality over three seeds

A set whose files are not here is skipped by name. Quality takes the settings and seeds of its file in benchmarks/results/quality,
one seed where there is none: hours for all of it, so that a bench that was stopped goes on where it was; speed takes minutes.
"""

import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from astro_lightning.core.conf import configs
from astro_lightning.data.errors import BadInput
from benchmarks import clock, record, results
from benchmarks.runs import run
from benchmarks.table import RESULTS

# Script of a table that compares several runs -> its words: {own}, a folder for runs of its own, or {experiment}, finished runs.
TABLES = {
    "conformal_ood": "{own} --seeds 0 1 2 --data spcc mallorn",
    "spectra_quality": "{spectra_real}",
    "spectra_unknown": "{spectra_real}",
    "spectra_recalibrated": "{spectra_leave_one_out}",
    "rb_des": "10 {own}",
    "rb_recurrent": "{own}",
    "scope_elsewhere": "{scope_catalina}",
    "scope_labels": "{own}",
}
# Script -> its words and the part of the real data that follows them; left out where the data are absent.
SPEED = {
    "start_up": ("", None),
    "short_runs": ("", None),
    "profiles": ("", None),
    "plasticc_simulate": ("", None),
    "light_curve_reading": ("", None),
    "plasticc_training": ("", None),
    "spectra_speed": ("--score --data", "spectra/raw_lamost"),
    "scope_speed": ("", "scope/css_periodic_variables.parquet"),
    "rb_speed": ("", "realbogus/avro/ztf_kowalski"),
    "gpu": ("", None),
}


def main(words: list[str]) -> None:
    """Measure what is asked for and write the page.

    Raises:
        BadInput: A word is neither a task, `speed` nor `seeds=`.
    """
    sections = yaml.safe_load((results.HERE / "published.yaml").read_text())
    seeds = [int(s) for word in words if word.startswith("seeds=") for s in word.removeprefix("seeds=").split(",")]
    tasks = [word for word in words if not word.startswith("seeds=")]
    known = [section["task"] for section in sections]
    for word in tasks:
        if word not in known:
            raise BadInput(f"{word!r} is not measured; choose among {', '.join(known)}, or seeds=0,1")
    for section in sections:
        if section["task"] != "speed" and section["task"] in (tasks or known):
            for name in dict.fromkeys(row["run"] for row in section["rows"] if "run" in row):
                quality(name, seeds)
            for topic in dict.fromkeys(row["cell"][0] for row in section["rows"] if "cell" in row):
                table(topic)
    if "speed" in (tasks or known):
        for script, (own, data) in SPEED.items():
            speed(script, own.split(), data)
    results.main([])


def quality(name: str, seeds: list[int]) -> None:
    """Run an experiment seed by seed and write its file; skipped by name where it has no recipe or its files are not here.

    What is finished below `outputs/bench` with this very code is not run again, and what was stopped goes on.
    """
    path = RESULTS / "quality" / f"{name}.json"
    if name not in configs("experiment") and not path.exists():  # a file has the command of its runs
        print(f"{name}: skipped, there is no experiment of this name")
        return
    kept = json.loads(path.read_text()) if path.exists() else {}
    runs = []
    for seed in seeds or kept.get("seeds", [0]):
        runs.append(place() / name / str(seed))
        start = time.perf_counter()
        try:
            run(runs[-1], [*settings(name, kept), f"seed={seed}", f"data.split_seed={seed}", "callbacks=quiet"])
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]
            print(f"{name}: {'skipped' if 'not found' in last else 'failed'}, {last}", flush=True)
            return
        print(f"{name}, seed {seed}: {(time.perf_counter() - start) / 60:.1f} min", flush=True)
    record.main([name, *map(str, runs)])


def table(topic: str) -> None:
    """Run a script that compares several runs, and makes those that are not finished yet; skipped like an experiment."""
    words = []
    for word in TABLES[topic].split():
        name = word.strip("{}")
        runs = sorted((place() / name).glob("*/job.json"))
        words += (
            [word] if word == name else [str(place() / topic)] if name == "own" else [str(job.parent) for job in runs]
        )
    if not words:
        print(f"{topic}: skipped, it takes finished runs of {name}", flush=True)
        return
    report(topic, clock.run(["-m", f"benchmarks.{topic}", *words]))


def place() -> Path:
    """Folder of the runs of this very program and these configurations: runs of another state are other runs."""
    root = results.HERE.parent
    files = sorted(path for part in ("astro_lightning", "conf") for path in (root / part).rglob("*"))
    files = [path for path in files if path.suffix in (".py", ".yaml")]
    return root / "outputs" / "bench" / hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def settings(name: str, kept: Mapping[str, Any]) -> list[str]:
    """The words of an experiment's own command, its seeds apart."""
    words = shlex.split(kept.get("command", f"python -m astro_lightning experiment={name} trainer=cpu"))[3:]
    return [word for word in words if word != "-m" and not word.startswith(("seed=", "data.split_seed="))]


def speed(script: str, words: list[str], data: str | None) -> None:
    """Run one script, which writes its own file."""
    surveys = os.environ.get("ASTRO_LIGHTNING_DATA")
    if data and not (surveys and (Path(surveys) / data).exists()):
        print(f"{script}: skipped, needs {data} below ASTRO_LIGHTNING_DATA")
        return
    report(
        script,
        clock.run(["-m", f"benchmarks.{script}", *words, *([str(Path(surveys) / data)] if data and surveys else [])]),
    )


def report(script: str, done: clock.Process) -> None:
    """What a script said, or why it wrote nothing."""
    said = done.output.strip()
    last = said.splitlines()[-1] if said else ""
    print(f"{script}: {'skipped' if 'not found' in last else 'failed'}, {last}" if done.status else said, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as error:
        sys.exit(str(error))
