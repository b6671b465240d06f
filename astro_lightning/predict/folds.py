"""Folds that were runs of their own, joined into what one run of all folds leaves."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from astro_lightning.core.checkpoint import predicting_checkpoints, restore
from astro_lightning.core.provenance import provenance, write_json, write_text
from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import read_table, write_parquet
from astro_lightning.report.compare import setting_differences
from astro_lightning.report.run_folder import RunFolder, read_run


def join_folds(folders: Sequence[Path], out: Path, command: list[str]) -> dict[str, float]:
    """Write predictions of all folds and their metrics into a folder that reads as one run's.

    Its `checkpoints/predicting.json` names the checkpoints where they are, so that `ckpt=OUT` scores with all folds.

    Args:
        folders: Runs with the same settings but `task.folds`, which together name every fold once.
        out: Folder to write.
        command: What made it, for the provenance.

    Returns:
        Metrics named `test/<metric>`.

    Raises:
        BadInput: A run has no predictions or no folds, a fold comes twice or is missing, or settings or data differ.
    """
    if (out / "config.yaml").exists():
        raise BadInput(f"{out} holds a run already: give a new folder")
    runs = [read_run(folder) for folder in folders]
    by_fold = runs_by_fold(runs)
    for key, values in setting_differences(runs):
        if key != "task.folds":
            said = ", ".join(f"{run.path}: {value}" for run, value in zip(runs, values))
            raise BadInput(f"the runs differ in {key} ({said}): train all folds with the same settings")
    ordered = list(dict.fromkeys(run.path for _, run in sorted(by_fold.items())))
    table = pa.concat_tables([read_table(path / "predictions.parquet") for path in ordered])
    files = [file for path in ordered for file in predicting_checkpoints(path)]
    last = restore(files[-1])
    n, distinct = last.info["n_objects"], pc.count_distinct(table["id"]).as_py()
    if not len(table) == distinct == n:
        raise BadInput(
            f"{len(table)} predictions of {distinct} objects, the data hold {n}: train all folds on the same files"
        )
    metrics = {f"test/{name}": value for name, value in type(last.module).score(table, last.info).items()}
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    config = {**runs[0].config, "task": {**runs[0].config["task"], "folds": None}}
    write_text(out / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_parquet([table], out / "predictions.parquet")
    write_json(out / "checkpoints" / "predicting.json", [Path(os.path.relpath(file, out)).as_posix() for file in files])
    taken: list[Any] = [run.provenance.get("seconds") for run in runs]  # None of a run that was resumed
    data = {"seconds": None if None in taken else sum(taken), "data": read_run(ordered[-1]).provenance.get("data")}
    write_json(out / "provenance.json", provenance(config["seed"], command) | data)
    write_json(out / "metrics.json", metrics)
    return metrics


def runs_by_fold(runs: Sequence[RunFolder]) -> dict[int, RunFolder]:
    """Fold -> its run.

    Raises:
        BadInput: A run has no folds or no predictions, or a fold comes twice or is missing.
    """
    found: dict[int, RunFolder] = {}
    for run in runs:
        folds = run.setting("task", "folds")
        if not isinstance(folds, list) or not run.setting("task", "n_folds"):
            raise BadInput(f"{run.path}: task.folds={folds}: give runs of single folds, such as task.folds=[0]")
        if not run.metrics or not (run.path / "predictions.parquet").exists():
            raise BadInput(f"{run.path} is not finished: go on with resume={run.path}")
        for k in folds:
            if k in found:
                raise BadInput(f"fold {k} comes twice, from {found[k].path} and {run.path}: give one of them")
            found[k] = run
    missing = sorted(set(range(runs[0].setting("task", "n_folds"))) - set(found))
    if missing:
        raise BadInput(f"fold {', '.join(map(str, missing))} is missing: run it with task.folds={missing}")
    return found
