"""After a sweep: one table of its jobs, best first."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

# What went wrong in this process's jobs, or in those of a sweep's workers; the command line ends with it.
failures: list[str] = []


class SweepTable(Callback):
    """Prints the jobs of a finished sweep and writes `sweep.json` into its folder."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read what each job left in its folder; a job that failed has no value."""
        from rich.console import Console

        from astro_lightning.report.table import sweep_table

        folder = Path(config.hydra.sweep.dir)
        failures.clear()  # the same ones are read from the jobs' folders, whichever process ran them
        found = [path for path in folder.glob("*") if path.is_dir() and path.name.isdigit()]
        jobs = []
        for path in sorted(found, key=lambda path: int(path.name)):
            job = {"job": path.name, "objective": None, "overrides": [], "metrics": {}}
            for part in ("job.json", "metrics.json"):
                if (path / part).exists():
                    found_there = json.loads((path / part).read_text())
                    job |= {"metrics": found_there} if part == "metrics.json" else found_there
            jobs.append(job)
            if (path / "error.txt").exists():
                failures.append((path / "error.txt").read_text().strip())
        if jobs:
            (folder / "sweep.json").write_text(json.dumps(jobs, indent=2))
            Console().print(sweep_table(jobs))
