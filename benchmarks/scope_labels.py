"""One run of boosted trees a label, all labels of the Catalina stars: how long on this machine, and how good.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.scope_labels FOLDER [--jobs 2]

FOLDER keeps the runs; what is finished there is not run again, and its time is that between its first and its last file. Not timed:
candidate periods and their features, which a survey's curves are measured for once, whatever is asked of them afterwards.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astro_lightning.compose import composed
from astro_lightning.core.stages import make_datamodule, stages_of
from astro_lightning.tasks.scope.label_runs import run_labels
from benchmarks.table import Cell, write_table

RECIPE = ("task=scope_xgb", "data=catalina", "trainer=cpu")


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    args = parser.parse_args(words)
    runs: Path = args.folder.resolve()
    table = runs / "labels.csv"
    if not table.exists():
        cfg = composed(*RECIPE)
        make_datamodule(cfg, stages_of(cfg)[0]).setup()
        run_labels(str(runs), RECIPE, composed, args.jobs)
    started = min(file.stat().st_mtime for file in runs.glob("*/config.yaml"))
    with table.open() as file:
        found = {row["label"]: float(row["f1"]) for row in csv.DictReader(file)}
    minutes = (table.stat().st_mtime - started) / 60
    rows: list[list[Cell]] = [["all labels", float(np.mean(list(found.values()))), minutes]]
    write_table(
        "scope_labels",
        "A run for each label of the Catalina stars",
        ["label", "F1", "minutes"],
        [*rows, *([label, f1, None] for label, f1 in found.items())],
        note=f"Boosted trees alone, {args.jobs} runs at once, seed 0; the first chooses the periods for all. A fifth of the "
        "sources is the test. Features were measured before.",
        command="python -m benchmarks.scope_labels FOLDER",
        seeds=[0],
    )


if __name__ == "__main__":
    main()
