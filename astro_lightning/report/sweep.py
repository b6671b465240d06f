"""After a sweep: one table of its jobs, best first."""

import json
import re
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

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
        subdir = OmegaConf.to_container(config.hydra.sweep)["subdir"]  # type: ignore[index,call-overload]
        jobs = []
        for path in job_folders(folder, subdir):
            job: dict[str, Any] = {
                "job": path.relative_to(folder).as_posix(),
                "objective": None,
                "overrides": [],
                "metrics": {},
            }
            for part in ("job.json", "metrics.json"):
                if (path / part).exists():
                    found_there = json.loads((path / part).read_text())
                    job |= {"metrics": found_there} if part == "metrics.json" else found_there
            jobs.append(job)
            if (path / "error.txt").exists():
                failures.append((path / "error.txt").read_text("utf-8").strip())
        if jobs:
            (folder / "sweep.json").write_text(json.dumps(jobs, indent=2))
            Console().print(sweep_table(jobs))


def job_folders(folder: Path, subdir: str) -> list[Path]:
    """The folders of a sweep's jobs, by number where they have one.

    Args:
        folder: The sweep's folder.
        subdir: `hydra.sweep.subdir` as it was typed, such as `${hydra.job.num}`; a job's own values may hold slashes.
    """
    literals = re.split(r"(\$\{(?:[^{}]|\{[^{}]*\})*\})", subdir)
    own = "".join(
        r"\d+" if part == "${hydra.job.num}" else ".+" if part.startswith("${") else re.escape(part)
        for part in literals
    )
    found = {path.parent for name in ("job.json", "error.txt") for path in folder.rglob(name)}
    jobs = [path for path in found if re.fullmatch(own, path.relative_to(folder).as_posix())]
    return sorted(jobs, key=lambda path: [(len(part), part) if part.isdigit() else (99, part) for part in path.parts])
