"""The command line as a user types it, on a tiny synthetic twin."""

import os
import subprocess
import sys
from pathlib import Path

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
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command with its outputs and cache below `folder` and check its exit status."""
    finished = subprocess.run(
        command(*words, folder=folder, launcher=launcher),
        env=clean_environment(folder) | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if expect is not None:
        assert finished.returncode == expect, (
            f"exit {finished.returncode}\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"
        )
    return finished


def command(*words: str, folder: Path, launcher: tuple[str, ...] = ()) -> list[str]:
    run = (
        any("=" in word for word in words)
        and not words[0].startswith(("resume=", "-sc"))
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
    return kept | {"ASTRO_LIGHTNING_CACHE": cache, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run_folder(folder: Path, task: str = "plasticc") -> Path:
    """The only run of a task below `folder`."""
    runs = sorted((folder / "outputs" / task).glob("*"))
    assert len(runs) == 1, runs
    return runs[0]
