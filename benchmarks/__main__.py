"""How good and how fast: every row in a process of its own, into benchmarks/results and docs/results.md.

    python -m benchmarks                      # all: quality on the real sets, then speed
    python -m benchmarks spectra scope        # the quality of these tasks
    python -m benchmarks speed                # the speed alone
    python -m benchmarks scope seeds=0,1,2    # the quality over three seeds

A set whose files are not here is skipped by name. Quality takes the seeds that its file in benchmarks/results/quality holds,
one where there is none: hours for all of it; speed takes minutes.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import yaml

from astro_lightning.core.conf import configs
from astro_lightning.data.errors import BadInput
from benchmarks import record, results
from benchmarks.clock import run
from benchmarks.table import RESULTS

# Script -> the part of the real data that it takes; left out where the data are absent.
SPEED = {
    "start_up": None,
    "short_runs": None,
    "profiles": None,
    "plasticc_simulate": None,
    "light_curve_reading": None,
    "plasticc_training": None,
    "spectra_speed": None,
    "scope_speed": "scope/css_periodic_variables.parquet",
    "rb_speed": "realbogus/avro/ztf_kowalski",
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
    if "speed" in (tasks or known):
        for script, data in SPEED.items():
            speed(script, data)
    results.main([])


def quality(name: str, seeds: list[int]) -> None:
    """Run an experiment seed by seed and write its file; skipped by name where it has no recipe or its files are not here."""
    if name not in configs("experiment"):
        print(f"{name}: skipped, there is no experiment of this name")
        return
    path = RESULTS / "quality" / f"{name}.json"
    before = json.loads(path.read_text())["seeds"] if path.exists() else [0]
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for seed in seeds or before:
            runs.append(f"{folder}/{seed}")
            words = [
                f"experiment={name}",
                "trainer=cpu",
                f"seed={seed}",
                "callbacks=quiet",
                f"hydra.run.dir={runs[-1]}",
            ]
            done = run(["-m", "astro_lightning", *words], os.cpu_count() or 1)
            last = done.output.strip().splitlines()[-1] if done.output.strip() else ""
            if done.status == 2 and "not found" in last:
                print(f"{name}: skipped, {last}")
                return
            if done.status:
                print(f"{name}: failed, {last}")
                return
            print(f"{name}, seed {seed}: {done.wall_s / 60:.1f} min, peak memory {done.peak_gib:.1f} GiB", flush=True)
        record.main([name, *runs])


def speed(script: str, data: str | None) -> None:
    """Run one script, which writes its own file."""
    surveys = os.environ.get("ASTRO_LIGHTNING_DATA")
    if data and not (surveys and (Path(surveys) / data).exists()):
        print(f"{script}: skipped, needs {data} below ASTRO_LIGHTNING_DATA")
        return
    done = run(["-m", f"benchmarks.{script}", *([str(Path(surveys) / data)] if data and surveys else [])])
    print(done.output.strip() if not done.status else f"{script}: failed, {done.output.strip()[-300:]}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as error:
        sys.exit(str(error))
