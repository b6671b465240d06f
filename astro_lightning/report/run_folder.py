"""A finished run, read back from its folder."""

import json
import shlex
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from astro_lightning.data.errors import BadInput
from astro_lightning.report.predictions import Predictions, read_predictions
from astro_lightning.report.scores import Scores, score


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind; only `config.yaml` has to exist.

    Of `provenance` the keys `command`, `seed`, `seconds`, `versions` and `data` (`content_sha256`, `split_sha256`,
    `splits`, `classes`, `counts`) have a place of their own on the page. The configuration's `task` block may hold
    `title` and `limits` (a list of sentences), its `data` block `licence` and `citation`.
    """

    path: Path
    config: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def predictions(self) -> Predictions | None:
        """The test split, or None where the run made no predictions."""
        path = self.path / "predictions.parquet"
        return read_predictions(path) if path.exists() else None

    @cached_property
    def scores(self) -> Scores | None:
        """Test metrics with intervals, or None where nothing can be scored."""
        path = self.path / "predictions.parquet"
        return _scores(path, path.stat().st_mtime_ns) if path.exists() else None

    @cached_property
    def learning(self) -> dict[str, pd.DataFrame]:
        """Stage -> table of logged scalars, in the order in which the stages ran."""
        files = sorted((self.path / "logs").glob("*/metrics.csv"), key=lambda p: (p.stat().st_mtime, p.parent.name))
        return {p.parent.name: pd.read_csv(p) for p in files if p.stat().st_size > 1}

    def example(self, name: str) -> pa.Table | None:
        """Test objects to show, `examples/<name>.parquet`, or None."""
        path = self.path / "examples" / f"{name}.parquet"
        return pq.read_table(path) if path.exists() else None

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.setting("task", "name") or self.path.parent.name)

    @property
    def data(self) -> str:
        """Name of the data."""
        return str(self.setting("data", "name") or "not recorded")

    @property
    def simulated(self) -> bool:
        """Whether the numbers rest on simulated objects."""
        return self.data == "simulated"

    @property
    def command(self) -> str | None:
        """The command line that repeats the run."""
        words = self.provenance.get("command")
        return shlex.join(map(str, words)) if words else None

    @property
    def fingerprint(self) -> dict[str, str]:
        """What was hashed -> SHA-256: the content of all objects, and who is in which split."""
        data = self.provenance.get("data") or {}
        names = {"content": "content_sha256", "split membership": "split_sha256"}
        return {name: data[key] for name, key in names.items() if data.get(key)}

    @property
    def splits(self) -> dict[str, int]:
        """Part -> number of objects."""
        return (self.provenance.get("data") or {}).get("splits") or {}

    @property
    def splits_note(self) -> str:
        """What the splits do not say: of a run in folds they are those of the last fold; what a refit trained on."""
        if self.config.get("refit"):
            return "New files are scored by a model trained once more, with the test's share too. The numbers are the first's."
        tested = self.scores.n_scored if self.scores else 0
        if not tested or tested <= self.splits.get("test", tested):
            return ""
        return f"These are the last fold's. Each fold tested other objects, {tested:,} in all."

    @property
    def training_counts(self) -> dict[str, int]:
        """Class -> number of training objects."""
        data = self.provenance.get("data") or {}
        return dict(zip(map(str, data.get("classes") or ()), data.get("counts") or ()))

    def setting(self, block: str, key: str) -> Any:
        """One value of a block of the configuration; a block that is plain text is its own name."""
        value = self.config.get(block)
        if isinstance(value, dict):
            return value.get(key)
        return value if key == "name" else None


def read_run(folder: Path | str) -> RunFolder:
    """Read a run folder.

    Raises:
        BadInput: The folder has no `config.yaml`, or one of its files is not readable JSON or YAML.
    """
    path = Path(folder)
    if not (path / "config.yaml").exists():
        raise BadInput(f"{path}: not a run folder, it has no config.yaml; give a folder such as outputs/<task>/<run>")
    return RunFolder(path, *(_content(path / name) for name in ("config.yaml", "metrics.json", "provenance.json")))


@lru_cache(maxsize=4)
def _scores(path: Path, changed_ns: int) -> Scores | None:
    # report, card and terminal show the same numbers, and the resampling takes seconds
    predictions = read_predictions(path)
    return score(predictions) if predictions else None


def _content(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    kind, parse = ("JSON", json.loads) if path.suffix == ".json" else ("YAML", yaml.safe_load)
    try:
        content = parse(path.read_text("utf-8")) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: not readable as {kind} ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise BadInput(
            f"{path}: holds no values under names, as a run's does; give a folder such as outputs/<task>/<run>"
        )
    return content
