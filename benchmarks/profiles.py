"""Where the time of training goes: a short run of every task under the Trainer's profiler, then its batches alone under Python's.

python -m benchmarks.profiles [TASK ...]     # with tasks: only their rows are measured anew
"""

import cProfile
import json
import os
import pstats
import re
import sys
import tempfile
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.profilers import Profiler

from astro_lightning.compose import composed
from astro_lightning.core.stages import Artefacts, make_datamodule, run_stage, stages_of, take
from benchmarks.short_runs import SHORT
from benchmarks.table import RESULTS, Cell, write_table

COLUMNS = [
    "task: stage", "ms a step", "making batches", "forward and backward", "optimizer", "the Trainer, logging, callbacks",
    "waiting for data", "ms a batch", "most of it in",
]  # fmt: skip
BATCHES = 20
PACKAGE = "/astro_lightning/"


class Parts(Profiler):
    """Seconds by the last word of an action's name, (wall clock, processor of the training thread); validation as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.began: dict[str, np.ndarray] = {}
        self.seconds: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        self.steps = 0

    def start(self, action_name: str) -> None:
        """An action begins."""
        self.began[action_name] = _now()
        if action_name.endswith("on_validation_start"):
            self.began.setdefault("validation", _now())

    def stop(self, action_name: str) -> None:
        """An action ends."""
        self.seconds[action_name.rpartition(".")[2]] += _now() - self.began.pop(action_name)
        self.steps += action_name == "run_training_batch"
        # The module's own hook is the last of the end.
        if action_name.startswith("[LightningModule]") and action_name.endswith("on_validation_end"):
            self.seconds["validation"] += _now() - self.began.pop("validation")

    def cells(self) -> list[Cell]:
        """Milliseconds a step, their shares, and the share of the wall clock in which the network waited."""
        of = self.seconds
        whole = of["run_training_epoch"] - of["validation"]
        making, learning = of["train_dataloader_next"], of["training_step"] + of["backward"]
        # An optimizer that the Trainer steps computes the gradient inside its own step.
        stepping = np.maximum(of["optimizer_step"] - learning, 0.0)
        shares = [part / whole for part in (making, learning, stepping, whole - making - learning - stepping)]
        return [1000 * whole[1] / max(self.steps, 1), *(float(share[1]) for share in shares), float(shares[0][0])]


def _now() -> np.ndarray:
    return np.array([time.perf_counter(), time.thread_time()])


def main(tasks: list[str]) -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    path = RESULTS / "profiles.json"
    before = json.loads(path.read_text())["rows"] if tasks and path.exists() else []
    rows = {name: [row for row in before if row[0].split(":")[0] == name] for name in SHORT}
    for name in tasks or SHORT:
        rows[name] = of_task(name)
    write_table(
        "profiles",
        "Where the time of training goes",
        COLUMNS,
        [row for of_name in rows.values() for row in of_name],
        "The synthetic twin, one thread a tensor operation. Processor time of the training thread in the epochs without their"
        " validation, and its shares; the share of the wall clock in which it waited for a batch; what a batch costs by itself, and"
        " the function of ours with the largest share of that."
        f" The machine's load average when it ended was {os.getloadavg()[0]:.0f}: above 1 the wall clock, and with it the waiting,"
        " is long.",
        "python -m benchmarks.profiles",
        [0],
    )


def of_task(name: str) -> list[list[Cell]]:
    """A row for each stage that trains; of a cross-validation, those of the first fold."""
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        cfg = composed(*SHORT[name], "trainer=cpu", "callbacks=quiet", "report=false")
        artefacts = Artefacts()
        for stage in stages_of(cfg):
            if re.search(r"fold[1-9]", stage["name"]):
                continue
            parts = Parts()
            run_stage({**cfg, "debug": {"profiler": parts}}, stage, Path(folder), artefacts)
            rows.append([f"{name}: {stage['name']}", *parts.cells(), *data_path(cfg, take(stage, artefacts))])
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def data_path(cfg: dict[str, Any], stage: dict[str, Any]) -> list[Cell]:
    """Processor milliseconds of making a batch, and the function of ours that takes most of it with its share."""
    loader = make_datamodule({**cfg, "workers": 0}, stage).train_dataloader()
    n = sum(1 for _ in islice(loader, BATCHES))  # what is made once and kept is not a batch's
    start = time.process_time()
    for _ in islice(loader, BATCHES):
        pass
    spent = time.process_time() - start
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for _ in islice(loader, BATCHES):
        pass
    profile.disable()
    statistics: Any = pstats.Stats(profile)
    found: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = statistics.stats
    # Of a data set's own method only what it does itself counts: all the others are called by it.
    ours = {
        f"{file.rpartition(PACKAGE)[2]} {function}": cost[2] if function == "__getitem__" else cost[3]
        for (file, _, function), cost in found.items()
        if PACKAGE in file and not file.endswith("core/loader.py")
    }
    slowest = max(ours, key=lambda name: ours[name], default="")
    share = f" ({ours[slowest] / statistics.total_tt:.0%})" if slowest else ""
    return [1000 * spent / max(n, 1), slowest + share]


if __name__ == "__main__":
    main(sys.argv[1:])
