"""The command line as a user types it, on a tiny synthetic twin."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

# Read when a process starts: by every command, and by the one of which they are copies.
os.environ["OMP_NUM_THREADS"] = "1"
# A command begins as a copy of a process that has imported what all of them import: seconds less each.
BEGUN = multiprocessing.get_context("forkserver")
BEGUN.set_forkserver_preload(
    ["astro_lightning.run", "astro_lightning.core.stages", "astro_lightning.report.html", "astro_lightning.methods.boosted_trees",
     "astropy.timeseries", "astropy.io.fits", "sklearn.ensemble"]
)  # fmt: skip

TINY = (
    "callbacks=quiet", "data.simulation.n_objects=160", "model.d_model=16", "model.n_heads=2", "model.n_layers=1",
    "trainer=cpu", "trainer.max_epochs=2", "task.tokenizer.max_length=40",
)  # fmt: skip


def astro_lightning(
    *words: str,
    folder: Path,
    timeout: float = 300,
    expect: int | None = 0,
    launcher: tuple[str, ...] = (),
    fresh: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command with its outputs and cache below `folder` and check its exit status.

    With `fresh`, a launcher or an environment of its own it begins as a user's does, else with its imports done.
    """
    arguments, given = command(*words, folder=folder, launcher=launcher), clean_environment(folder) | environment
    if fresh or launcher or environment.keys() - {"ASTRO_LIGHTNING_DATA"}:  # which no import reads
        finished = subprocess.run(arguments, env=given, capture_output=True, text=True, timeout=timeout)
    else:
        finished = begun(arguments, given, timeout)
    if expect is not None:
        assert finished.returncode == expect, (
            f"exit {finished.returncode}\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"
        )
    return finished


def begun(
    arguments: list[str], environment: Mapping[str, str], timeout: float, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` gives for `python -m astro_lightning ...`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = BEGUN.Process(target=_run, args=(arguments[3:], dict(environment), out, err, cwd or Path.cwd()))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _run(words: list[str], environment: Mapping[str, str], out: Path, err: Path, cwd: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = ["astro_lightning", *words]
    runpy.run_module("astro_lightning", run_name="__main__", alter_sys=True)


def command(*words: str, folder: Path, launcher: tuple[str, ...] = ()) -> list[str]:
    run = (
        any("=" in word for word in words)
        and not any(word.startswith(("resume=", "-sc")) for word in words)
        and not words[0].isidentifier()
    )
    start = [sys.executable, *(launcher or ()), "-m", "astro_lightning"]
    return [*start, *words, *([f"paths.outputs={folder / 'outputs'}"] if run else [])]


def clean_environment(folder: Path) -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "ASTRO_LIGHTNING", "SLURM"))
    }
    # One cache for all tests of a session: each twin is made once.
    cache = os.environ.get("TEST_CACHE", str(folder / "cache"))
    return kept | {"ASTRO_LIGHTNING_CACHE": cache, "COLUMNS": "200"}


def run_folder(folder: Path, task: str = "plasticc") -> Path:
    """The only run of a task below `folder`."""
    runs = sorted((folder / "outputs" / task).glob("*"))
    assert len(runs) == 1, runs
    return runs[0]
