"""Metrics of a stage in a CSV file that an interruption leaves whole."""

import csv
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only


class StageLog(CSVLogger):
    """Lightning's logger, which begins each start with an empty file; here what came before the first new step stays."""

    def __init__(self, folder: Path, stage: str) -> None:
        super().__init__(folder, name="logs", version=stage)
        self._file = Path(self.log_dir) / "metrics.csv"
        self._before: list[dict[str, str]] = []
        if self._file.is_file():
            with self._file.open(newline="") as stream:
                self._before = [row for row in csv.DictReader(stream) if (row.get("step") or "").isdigit()]

    @property
    def experiment(self) -> Any:
        """The writer; it removes the file, and its warning of that does not hold here."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Experiment logs directory")
            return super().experiment

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:  # type: ignore[override]
        """Log, and before the first time write down again what was logged of earlier steps."""
        before, self._before = [row for row in self._before if int(row["step"]) < (step or 0)], []
        if before:
            writer = self.experiment
            writer.metrics_keys = list(before[0])
            with self._file.open("w", newline="") as stream:
                rows = csv.DictWriter(stream, writer.metrics_keys)
                rows.writeheader()
                rows.writerows(before)
        super().log_metrics(metrics, step)
