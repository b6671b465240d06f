"""Start-up, and a short run of every task on its synthetic twin, each in a process of its own: seconds, memory, waiting.

python -m benchmarks.start_up [TASK ...]
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.clock import run
from benchmarks.table import write_table

STARTS = {
    "import astro_lightning": ["-c", "import astro_lightning"],
    "import torch and lightning": ["-c", "import torch, pytorch_lightning"],
    "--help": ["-m", "astro_lightning", "--help"],
    "--cfg job": ["-m", "astro_lightning", "--cfg", "job"],
}
# Task -> the words of a short run: a few epochs on a few objects.
SHORT = {
    "plasticc": ["task=plasticc", "data.simulation.n_objects=1000", "trainer.max_epochs=2"],
    "plasticc_trees": ["task=plasticc_trees", "data.simulation.n_objects=400", "trainer.max_epochs=3"],
    "spectra": ["experiment=spectra_quick", "trainer.max_epochs=2"],
    "spectra_xgb": ["task=spectra_xgb", "data.simulation.n_objects=2000", "trainer.max_epochs=3"],
    "rb_c1000": ["experiment=rb_c1000_quick", "trainer.max_epochs=3"],
    "rb_vae_rnn": ["experiment=rb_vae_rnn_quick", "trainer.max_epochs=3"],
    "scope": ["task=scope", "data.simulation.n_objects=400", "trainer.max_epochs=3"],
    "scope_xgb": ["task=scope_xgb", "data.simulation.n_objects=400", "trainer.max_epochs=3"],
}


def main(tasks: list[str]) -> None:
    """Measure and write both tables."""
    if not tasks:
        rows = []
        for name, words in STARTS.items():
            taken = min((run(words) for _ in range(3)), key=lambda p: p.wall_s)
            rows.append([name, taken.wall_s, taken.cpu_s, taken.peak_gib])
        write_table(
            "start_up",
            "Start-up",
            ["what", "seconds", "processor seconds", "peak memory, GiB"],
            rows,
            "A process of its own each, the best of three.",
            "python -m benchmarks.start_up",
        )
    measured = []
    for name in tasks or SHORT:
        measured += of_task(name)
        print(*measured, sep="\n", flush=True)
    if not tasks:
        write_table(
            "tasks",
            "A short run of every task",
            [
                "task and stage",
                "objects/s",
                "share of the epoch spent waiting for data",
                "whole run, s",
                "peak memory, GiB",
            ],
            measured,
            "The synthetic twin, one core, a process of its own each; whole run: from the shell to the report.",
            "python -m benchmarks.start_up",
            [0],
        )


def of_task(name: str) -> list[list[object]]:
    """The run's own line, and one for each stage that trains."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "astro_lightning", *SHORT[name], "trainer=cpu", "callbacks=quiet", f"hydra.run.dir={folder}/run"]
        taken = run(words)
        if taken.status:
            raise SystemExit(f"{name}: {taken.output[-2000:]}")
        metrics = json.loads((Path(folder) / "run" / "metrics.json").read_text())
    rows: list[list[object]] = [[name, None, None, taken.wall_s, taken.peak_gib]]
    end = "/speed/waiting_share"
    for key, share in metrics.items():
        if key.endswith(end):
            stage = key.removesuffix(end)
            rows.append([f"{name}: {stage}", metrics[f"{stage}/speed/objects_per_s"], share, None, None])
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
