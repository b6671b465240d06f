"""A short run of every task on its synthetic twin, each in a process of its own: processor time, memory, waiting for data.

python -m benchmarks.short_runs [TASK ...]     # with tasks: only their rows are measured anew
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.clock import run
from benchmarks.table import RESULTS, Cell, write_table

# Task -> the words of a short run: a few epochs on a few objects.
SHORT = {
    "plasticc": ["task=plasticc", "data.simulation.n_objects=500", "trainer.max_epochs=2"],
    "plasticc_pretrain": ["task=plasticc_pretrain", "data.simulation.n_objects=200", "trainer.max_epochs=2"],
    "plasticc_finetune": ["task=plasticc_finetune", "data.simulation.n_objects=200", "trainer.max_epochs=2"],
    "plasticc_trees": ["task=plasticc_trees", "data.simulation.n_objects=400", "trainer.max_epochs=3"],
    "spectra": ["experiment=spectra_quick", "data.simulation.n_objects=2000", "trainer.max_epochs=2"],
    "spectra_xgb": ["task=spectra_xgb", "data.simulation.n_objects=2000", "trainer.max_epochs=3"],
    "rb_c1000": ["experiment=rb_c1000_quick", "trainer.max_epochs=1"],
    "rb_vae": ["task=rb_vae", "data.simulation.n_objects=60", "trainer.max_epochs=2"],
    # The default head is one step in closed form, of which nothing can be said.
    "rb_rnn": [
        "task=rb_rnn",
        "task.heads=[attention]",
        "task.folds=[0]",
        "data.simulation.n_objects=200",
        "trainer.max_epochs=3",
    ],
    "rb_vae_rnn": ["experiment=rb_vae_rnn_quick", "trainer.max_epochs=2"],
    "scope": ["task=scope", "data.simulation.n_objects=200", "trainer.max_epochs=3"],
    "scope_xgb": ["task=scope_xgb", "data.simulation.n_objects=200", "trainer.max_epochs=3"],
    "scope_table": ["task=scope_table", "label=vnv", "data.simulation.n_objects=500", "trainer.max_epochs=3"],
    "scope_table_xgb": [
        "task=scope_table_xgb",
        "label=vnv",
        "data.simulation.n_objects=500",
        "trainer.max_epochs=3",
    ],
}
COLUMNS = [
    "task: stage", "objects/s", "share of an epoch spent waiting for data", "processor seconds of the run", "peak memory, GiB"
]  # fmt: skip


def main(tasks: list[str]) -> None:
    """Measure and write the table."""
    path = RESULTS / "short_runs.json"
    before = json.loads(path.read_text())["rows"] if tasks and path.exists() else []
    rows = {name: [row for row in before if row[0].split(":")[0] == name] for name in SHORT}
    for name in tasks or SHORT:
        rows[name] = of_task(name)
        print(*rows[name], sep="\n", flush=True)
    write_table(
        "short_runs",
        "A short run of every task",
        COLUMNS,
        [row for of_name in rows.values() for row in of_name],
        "The synthetic twin, one core, a process of its own each, report included."
        f" The machine's load average when it ended was {os.getloadavg()[0]:.0f}: above 1 the wall clock, and with it the waiting,"
        " is long.",
        "python -m benchmarks.short_runs",
        [0],
    )


def of_task(name: str) -> list[list[Cell]]:
    """The run's own line, and one for each stage that trains."""
    with tempfile.TemporaryDirectory() as folder:
        taken = run(
            ["-m", "astro_lightning", *SHORT[name], "trainer=cpu", "callbacks=quiet", f"hydra.run.dir={folder}/run"]
        )
        if taken.status:
            raise SystemExit(f"{name}: {taken.output[-2000:]}")
        metrics = json.loads((Path(folder) / "run" / "metrics.json").read_text())
    rows: list[list[Cell]] = [[name, None, None, taken.cpu_s, taken.peak_gib]]
    end = "/speed/waiting_share"
    for key, share in metrics.items():
        if key.endswith(end):
            stage = key.removesuffix(end)
            rows.append([f"{name}: {stage}", metrics[f"{stage}/speed/objects_per_s"], share, None, None])
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
