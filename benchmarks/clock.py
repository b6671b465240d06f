"""Time and memory of a call and of a process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


def seconds(work: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of a call, best of several after one to warm up; of the processor, so that no other load counts, or by `clock`."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


@dataclass(frozen=True)
class Process:
    """What a process took: wall-clock and processor seconds, peak memory in GiB, and its output."""

    wall_s: float
    cpu_s: float
    peak_gib: float
    output: str
    status: int


def run(words: Sequence[str], threads: int = 1) -> Process:
    """Run Python with these words in a process of its own, in the repository's folder."""
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "WANDB_MODE": "disabled"}
    with subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    ) as started:
        assert started.stdout is not None
        output = started.stdout.read()
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
    taken = time.perf_counter() - start
    return Process(taken, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, output, started.returncode)
