"""One run a label: several at once, each resumed where it stopped, one table and one file of predictions at the end."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astro_lightning.core.provenance import write_text
from astro_lightning.core.stages import datamodule_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import write_parquet
from astro_lightning.report.labels import label_scores, write_label_table
from astro_lightning.tasks.scope import pictures
from astro_lightning.tasks.scope.taxonomy import Taxonomy


def run_labels(
    folder: str,
    words: Sequence[str],
    composed: Callable[..., dict[str, Any]],
    jobs: int = 2,
    labels: Sequence[str] | None = None,
) -> str:
    """Train a classifier for each label; called again, go on with those that are not finished.

    Where the task chooses periods first, the first label's run does so and the others take its choice.

    Args:
        folder: A run folder for each label goes below it, then `labels.csv`, `predictions.parquet` and, of trees,
            `feature_ranking.csv`.
        words: What else a run is given: `task=`, `data=`, ...
        composed: `compose.composed`, which makes the configuration of words.
        jobs: Runs at once.
        labels: Tags; None = all that the types of the taxonomy decide, or that a training table has a column of.

    Returns:
        What was done, in a line.

    Raises:
        BadInput: The words do not compose, or a run failed.
    """
    out = Path(folder).expanduser().resolve()
    own_words = [word for word in words if not word.startswith("hydra.")]  # of the jobs, not of their configuration
    cfg = composed(*own_words, *([f"label={labels[0]}"] if labels else []))
    stages = {name: block for name, block in cfg["task"]["stages"].items() if isinstance(block, dict)}
    chosen = list(labels or all_labels(cfg))
    first, *others = chosen
    own = [f"task.stages.{name}.module.types=false" for name, stage in stages.items() if "types" in stage["module"]]
    taken = []
    if "periods" in stages:
        at = out / first / "checkpoints" / "periods"
        taken = ["task.stages.periods=null", f"+task.features.score={at / 'score.npy'}"]
        for name, stage in stages.items():
            if "periods/checkpoint" in (stage.get("takes") or {}).values():
                taken += [
                    f"task.stages.{name}.takes=null", f"task.stages.{name}.module.chooser={at / 'best.ckpt'}",
                ]  # fmt: skip
    failed = [run_label(out, first, [*words, *own])]
    if not failed[0]:
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            failed += pool.map(lambda label: run_label(out, label, [*words, *own, *taken]), others)
    if any(failed):
        raise BadInput(next(filter(None, failed)))
    table = joined([out / label for label in chosen])
    write_parquet([table], out / "predictions.parquet")
    write_label_table(table, out / "labels.csv")
    if gain := importances([out / label for label in chosen]):
        write_text(out / "feature_ranking.csv", pictures.ranking(gain))
    mean = sum(float(row["f1"]) for row in label_scores(table)) / len(chosen)
    return f"{len(chosen)} labels, mean F1 {mean:.4f} on {table.num_rows} test objects: {out / 'labels.csv'}"


def all_labels(cfg: Mapping[str, Any]) -> list[str]:
    """Tags that the types of the taxonomy decide; where it maps no type, those that the table has a column of."""
    taxonomy = Taxonomy.from_config(cfg["taxonomy"])
    return taxonomy.decided if taxonomy.types else datamodule_of(cfg, "classify").info()["tags"]


def run_label(out: Path, label: str, words: Sequence[str]) -> str:
    """One label's run in a process of its own; what went wrong, or an empty text."""
    folder = out / label
    job = folder / "job.json"
    if job.exists() and json.loads(job.read_text()).get("finished"):
        return ""
    started = (folder / "config.yaml").exists()
    given = [f"resume={folder}"] if started else [*words, f"label={label}", f"hydra.run.dir={folder}"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out.log").open("a") as log:
        done = subprocess.run([sys.executable, "-m", "astro_lightning", *given], stdout=log, stderr=subprocess.STDOUT)
    return (
        "" if done.returncode == 0 else f"the run of {label} failed (exit {done.returncode}): see {folder / 'out.log'}"
    )


def importances(folders: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Label -> feature -> share of the gain, from what runs of trees left; networks leave nothing."""
    gain: dict[str, dict[str, float]] = {}
    for path in (folder / "importances.csv" for folder in folders):
        for row in csv.DictReader(path.read_text().splitlines()) if path.exists() else ():
            gain.setdefault(row["label"], {})[row["feature"]] = float(row["share_of_gain"])
    return gain


def joined(folders: Sequence[Path]) -> pa.Table:
    """Predictions of runs on the same test objects side by side: what one has and those before have not."""
    table = pq.read_table(folders[0] / "predictions.parquet")
    for folder in folders[1:]:
        other = pq.read_table(folder / "predictions.parquet")
        if other["id"] != table["id"]:
            raise BadInput(f"{folder} tested other objects than {folders[0]}: give all runs one data.split_seed")
        for name in other.column_names:
            if name not in table.column_names:
                table = table.append_column(name, other[name])
    return table
