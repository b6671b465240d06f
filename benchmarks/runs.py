"""Runs of the command line for a table: each in a folder of its own, resumed where it was stopped, not repeated when done."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run(folder: Path, words: Sequence[str]) -> dict[str, float]:
    """Metrics of a run with these words on the command line.

    Args:
        folder: Run folder.
        words: Overrides; the seed among them.

    Raises:
        RuntimeError: The run failed, with its last lines.
    """
    job = folder / "job.json"
    if not (job.exists() and json.loads(job.read_text()).get("finished")):
        start = [f"resume={folder}"] if (folder / "config.yaml").exists() else [*words, f"hydra.run.dir={folder}"]
        command = [sys.executable, "-m", "astro_lightning", *start]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return json.loads((folder / "metrics.json").read_text())
