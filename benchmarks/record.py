"""Finished runs of one experiment, one seed each, as one file: `benchmarks/results/quality/NAME.json`.

    python -m benchmarks.record NAME RUN_FOLDER [RUN_FOLDER ...]

Every test metric gets its mean and values seed by seed. Its interval (95%) is Student's t over the seeds where there are several
(it covers the scatter of training, not the choice of test objects), and beside it, where the run can give one, the bootstrap over
the test objects of the first seed. Runs that differ in anything but the seed are refused.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.data.errors import BadInput
from astro_lightning.report.run_folder import RunFolder, read_run
from astro_lightning.report.scores import Scores
from astro_lightning.report.wording import flat
from benchmarks.seeds import over_seeds
from benchmarks.table import RESULTS, write

# What may differ between the runs of one experiment: the seeds, and where a run's files lie.
SEEDS = ("seed", "data.split_seed")
ELSEWHERE = ("paths.", "logger.", "callbacks.", "workers", "report", "data.root", "data.path", "out", "ckpt")
NOT_A_SETTING = (
    "paths.",
    "hydra.",
    "callbacks",
    "logger",
    "workers=",
    "report=",
    "data.root=",
    "seed=",
    "data.split_seed=",
)


def main(words: list[str]) -> None:
    """Write the file and print the headline metrics."""
    if len(words) < 2 or "/" in words[0]:
        raise BadInput("python -m benchmarks.record NAME RUN_FOLDER [RUN_FOLDER ...]")
    runs = sorted(
        (read_run(Path(word).expanduser()) for word in words[1:]), key=lambda run: run.provenance.get("seed", 0)
    )
    content = record(runs)
    path = write(RESULTS / "quality" / f"{words[0]}.json", content)
    for name in ("test/accuracy", "test/macro_f1", "test/roc_auc", "test/log_loss"):
        if name in content["metrics"]:
            found = content["metrics"][name]
            print(f"{name}: {found['mean']:.4f} {found.get('over_seeds') or found.get('over_objects') or ''}")
    print(path)


def record(runs: list[RunFolder]) -> dict[str, Any]:
    """What the file of one experiment holds.

    Raises:
        BadInput: A run is not finished, or two are not of the same experiment.
    """
    for run in runs:
        job = run.path / "job.json"
        if not job.exists() or not json.loads(job.read_text()).get("finished"):
            raise BadInput(f"{run.path}: not a finished run; go on with resume={run.path}")
        same_experiment(runs[0], run)
    first = runs[0].provenance
    seeds = [int(run.config["seed"]) for run in runs]
    if len(set(seeds)) < len(seeds):
        raise BadInput(f"two of the runs have one seed ({sorted(seeds)}): give one run a seed")
    splits = [run.config["data"].get("split_seed") for run in runs]
    return {
        "task": runs[0].task,
        "data": runs[0].data,
        "command": command(runs, seeds, splits),
        "seeds": seeds,
        "split_seeds": sorted({s for s in splits if s is not None}),
        "machine": ", ".join(str(value) for value in _hardware(first)),
        "versions": {"python": first["python"], **first["versions"]},
        "seconds": [seconds and round(seconds, 1) for seconds in (run.provenance["seconds"] for run in runs)],
        "fingerprint": runs[0].fingerprint.get("content"),
        "splits": runs[0].splits,
        "metrics": metrics(runs),
    }


def same_experiment(first: RunFolder, run: RunFolder) -> None:
    """Refuse a run with other settings or other data than the first.

    Raises:
        BadInput: What differs.
    """
    one, other = flat(first.config), flat(run.config)
    for key in sorted(set(one) | set(other)):
        if key not in SEEDS and not key.startswith(ELSEWHERE) and one.get(key) != other.get(key):
            raise BadInput(
                f"{run.path}: {key} is {other.get(key)}, but {one.get(key)} in {first.path}: not the same experiment"
            )
    if first.fingerprint.get("content") != run.fingerprint.get("content"):
        raise BadInput(f"{run.path}: other data than {first.path} (their content's SHA-256 differ)")


def command(runs: list[RunFolder], seeds: list[int], splits: list[Any]) -> str:
    """The command line that makes these runs again, without this machine's folders."""
    overrides = json.loads((runs[0].path / "job.json").read_text())["overrides"]
    words = [word for word in overrides if not word.lstrip("+").startswith(NOT_A_SETTING)]
    words.append("seed=" + ",".join(map(str, seeds)))
    if len(set(splits)) > 1:
        if splits != seeds:
            raise BadInput("data.split_seed must be the same in all runs, or each run's own seed")
        words.append("'data.split_seed=${seed}'")
    quoted = [f"'{w}'" if set(w) & set("[]{}() ") and not w.startswith("'") else w for w in words]
    return " ".join(["python -m astro_lightning", *(["-m"] if len(seeds) > 1 else []), *quoted])


def metrics(runs: list[RunFolder]) -> dict[str, dict[str, Any]]:
    """Metric -> mean, values by seed and intervals."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({key for run in runs for key in run.metrics if key.startswith("test/")}):
        values = [run.metrics.get(name) for run in runs]
        known = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
        if not known:
            continue
        entry: dict[str, Any] = {"mean": float(np.mean(known)), "values": [_short(v) for v in values]}
        if len(known) > 1:
            mean, half = over_seeds(known)
            entry["over_seeds"] = [_short(mean - half), _short(mean + half)]
        objects = of_objects(runs[0].scores, name, float(runs[0].metrics.get(name, math.nan)))
        if objects:
            entry["over_objects"] = [_short(bound) for bound in objects]
        found[name] = entry | {"mean": _short(entry["mean"])}
    return found


def of_objects(scores: Scores | None, name: str, value: float) -> tuple[float, float] | None:
    """Bootstrap interval over the test objects, where it was made for this very number."""
    if scores is None:
        return None
    if estimate := scores.interval(name, value):
        return estimate.low, estimate.high
    label = name.removeprefix("test/f1_")
    if label != name and label in scores.classes:
        at = scores.classes.index(label)
        low, high = scores.per_class["f1_low"][at], scores.per_class["f1_high"][at]
        if abs(scores.per_class["f1"][at] - value) < 5e-4 and math.isfinite(low):
            return float(low), float(high)
    return None


def _hardware(provenance: dict[str, Any]) -> list[str]:
    found = provenance["hardware"]
    return [found["machine"], f"{found['cpu_cores']} cores", f"{found['memory_gib']} GiB", *found["accelerators"]]


def _short(value: Any) -> float | None:
    return float(f"{value:.6g}") if isinstance(value, int | float) and math.isfinite(value) else None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as error:
        sys.exit(str(error))
