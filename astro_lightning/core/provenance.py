"""Where a number came from: versions, code, machine, data."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from astro_lightning.data.errors import BadInput
from astro_lightning.data.whole_file import whole_file

PACKAGES = (
    "astro-lightning",
    "torch",
    "pytorch-lightning",
    "hydra-core",
    "numpy",
    "pyarrow",
    "xgboost",
    "scikit-learn",
)


def provenance(seed: int, command: list[str]) -> dict[str, Any]:
    """Versions, git state, seed, hardware and the command of this run, in plain containers."""
    import psutil
    import torch

    return {
        "command": command,
        "seed": seed,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "git": _git(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.platform(),
            "cpu_cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def asked() -> dict[str, Any]:
    """What the user typed for this run, or for this job of a sweep; from Python nothing, and no command repeats it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized():
        return {"overrides": [], "command": []}
    words, runtime = list(HydraConfig.get().overrides.task), HydraConfig.get().runtime
    name = HydraConfig.get().job.config_name
    own = [source.path for source in runtime.config_sources if source.provider == "command-line"]
    places = [f"--config-dir={os.path.relpath(path, runtime.cwd)}" for path in own]
    if name != "config":
        places.append(f"--config-name={name}")
    found: dict[str, Any] = {"overrides": words, "command": ["python", "-m", "astro_lightning", *places, *words]}
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        found["sweep"] = Path(HydraConfig.get().sweep.dir).name
    return found


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; ranks that write the same at once do no harm."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_kept(path: Path) -> Any:
    """What a run kept in a JSON or YAML file.

    Raises:
        BadInput: The file is missing, damaged or empty.
    """
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} cannot be read ({str(error).splitlines()[0]}): the run folder is damaged") from error
    if not content:
        raise BadInput(f"{path} is empty: the run folder is damaged")
    return content


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    folder = Path(__file__).parent

    def ask(*words: str) -> str | None:
        try:
            answer = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    # An installed wheel inside somebody else's repository must not report that repository.
    tracked = ask("ls-files", "--error-unmatch", Path(__file__).name)
    commit = ask("rev-parse", "HEAD") if tracked else None
    return (
        {"commit": commit, "modified_files": len((ask("status", "--porcelain") or "").splitlines())} if commit else None
    )
