"""Scoring past one machine: time and memory as files grow, over one and two processes, and what surveys would take.

python -m benchmarks.scale [ROW ...]     # a row is a key of ROWS; without words all of them, then the page docs/scale.md
python -m benchmarks.scale page          # the page alone, from benchmarks/results/scale.json
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

from astro_lightning.predict.parts import OBJECTS
from benchmarks.clock import run
from benchmarks.scale_page import write_page
from benchmarks.table import RESULTS, write_table

COLUMNS = ["row", "objects", "processes", "wall s", "processor s", "peak GiB", "objects/s while scoring"]
# Row -> the words of a training whose network is scored (its size decides the speed, its training does not), the survey whose
# reader reads the real file, the file, and (objects, processes) to be measured.
MEMORY = ["--memory-gib", "0.1"]
QUICK = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=2"]
ROWS = {
    "features": (
        ["experiment=rb_des", "task.peers=[]", "task.loop.pseudo=hard", "task.rounds=[]", "task.baselines=false"],
        "des_autoscan", "realbogus/des_autoscan_features.parquet",
        [(10**3, 1), (10**5, 1), (10**6, 1)],
    ),
    "spectra": (
        ["task=spectra", *QUICK], "spectra", "spectra/real_spectra.parquet", [(1_000, 1), (40_000, 1), (40_000, 2)],
    ),
    "stamps": (
        ["task=rb_c1000", "+data.simulation.side_px=63", "data.simulation.n_objects=200", "task.sets.n_labelled=60",
         "task.sets.n_pool=60", "task.loop.n_select=10", "task.rounds=[]", "task.baselines=false", *QUICK],
        "ztf_stamps", "realbogus/ztf_alert_triplets.npz", [(2_000, 1), (12_000, 1), (12_000, 2)],
    ),
    "variables": (
        ["task=scope", "data.simulation.n_objects=200", *QUICK],
        "catalina", "scope/css_periodic_variables.parquet", [(300, 1), (4_096, 1), (4_096, 2)],
    ),
    "curves": (
        ["task=plasticc_finetune", "data.simulation.n_objects=200", *QUICK],
        "mallorn", "plasticc/mallorn/train_lightcurves.parquet", [(2_434, 1)],
    ),
}  # fmt: skip


def main(words: list[str]) -> None:
    """Measure rows, keep them beside those measured before, write the page."""
    file = RESULTS / "scale.json"
    wanted = {f"{name}, {objects}, {n}" for name, (*_, sizes) in ROWS.items() for objects, n in sizes}
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    kept = {row[0]: row for row in known if row[0] in wanted}
    for name in [] if words == ["page"] else words or ROWS:
        train, survey, source, sizes = ROWS[name]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            trained = run(
                ["-m", "astro_lightning", *train, "trainer=cpu", "report=false", f"hydra.run.dir={folder}/run"]
            )
            if trained.status:
                raise SystemExit(f"{name}: {trained.output[-2000:]}")
            for objects, processes in sizes:
                made = grown(Path(os.environ["ASTRO_LIGHTNING_DATA"]) / source, objects, folder)
                row = f"{name}, {objects}, {processes}"
                words_ = [
                    "-m",
                    "astro_lightning",
                    "score",
                    str(made),
                    "--data",
                    survey,
                    "--ckpt",
                    f"{folder}/run",
                    *MEMORY,
                ]
                found = measured([*words_, "--out", f"{folder}/scores.parquet", "--workers", str(processes)], folder)
                n = pq.read_metadata(folder / "scores.parquet").num_rows
                kept[row] = [row, n, processes, *found]
                print(kept[row], flush=True)
        write_table(
            "scale", "Scoring files of growing size", COLUMNS, list(kept.values()),
            "`astro-lightning score`, from the shell to the whole file, start-up included; real objects of the survey, repeated; "
            "one thread a process, `--memory-gib 0.1`; peak: unique memory of all processes together; "
            f"the machine's load average when it ended was {os.getloadavg()[1]:.0f}, so that wall-clock seconds may be long.",
            "python -m benchmarks.scale",
        )  # fmt: skip
    write_page(file)


def grown(source: Path, objects: int, folder: Path) -> Path:
    """The first `objects` of a survey's file, repeated where there are too few; two tables that belong together as they are."""
    if "lightcurves" in source.name:  # a table of objects belongs to it
        return source
    out = folder / f"grown{source.suffix}"
    if source.suffix == ".npz":
        with np.load(source) as archive:
            stamps = archive["triplets"]
        np.savez(out, triplets=stamps[np.arange(objects) % len(stamps)])
        return out
    table = pq.read_table(source)
    with pq.ParquetWriter(out, table.schema) as writer:
        for start in range(0, objects, table.num_rows):
            writer.write_table(table.slice(0, objects - start), row_group_size=4096)
    return out


def measured(words: list[str], folder: Path) -> tuple[float, float, float, float | None]:
    """Wall-clock and processor seconds, and peak memory in GiB, of a command and its children, and objects a second while scoring.

    The last is taken between the first and the last part that it writes into `folder`; None where they are few.
    """
    _children_seconds()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=RESULTS.parents[1]
    )
    peak, family = 0, psutil.Process(process.pid)
    parts: list[tuple[float, int]] = []
    while process.poll() is None:
        count = len(list(folder.glob(".scores.parquet.parts-*/0*.parquet")))
        if count and (not parts or count > parts[-1][1]):
            parts.append((time.perf_counter(), count))
        memory = 0
        try:
            for one in [family, *family.children(recursive=True)]:
                memory += one.memory_full_info().uss
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, memory)
        time.sleep(0.2)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(words)}")
    (first, some), (last, most) = (parts[0], parts[-1]) if parts else ((0.0, 0), (0.0, 0))
    steady = (most - some) * OBJECTS / (last - first) if most - some >= 6 else None
    return wall, _children_seconds(), peak / 2**30, steady


_before = 0.0


def _children_seconds() -> float:
    global _before
    used = os.times()
    total = used.children_user + used.children_system
    taken, _before = total - _before, total
    return taken


if __name__ == "__main__":
    main(sys.argv[1:])
