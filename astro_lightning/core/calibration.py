"""What a run learns, after its training, from objects that its networks did not train on; applied to every table it scores."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.core.build import class_of
from astro_lightning.core.whole import load_whole, save_whole
from astro_lightning.data.errors import BadInput

FILE = "calibration.pt"  # beside the checkpoints of a run
# Names of what `TaskModule.evidence` gives.
LOGITS, EMBEDDING = "logits", "embedding"

Columns = dict[str, np.ndarray | pa.Array]
# (fold whose models speak, fold whose calibration objects they are compared with)
Pairs = Sequence[tuple[int, int]]


@dataclass
class Evidence:
    """What the models of one fold say of some objects.

    Attributes:
        probability: (objects, classes), the mean of the fold's models.
        logits: (objects, classes) of its first model, not normalised.
        embedding: (objects, dimensions) of its first model, NaN = not known; None where it has none.
        label: (objects,) class numbers; -1 where not known.
        own: The task's further columns, (objects,) or (objects, k), the mean of the fold's models.
    """

    probability: np.ndarray
    logits: np.ndarray
    embedding: np.ndarray | None
    label: np.ndarray
    own: dict[str, np.ndarray] = field(default_factory=dict)

    def only(self, own: slice | np.ndarray) -> "Evidence":
        """Of some of the objects."""
        embedding = None if self.embedding is None else self.embedding[own]
        columns = {name: values[own] for name, values in self.own.items()}
        return Evidence(self.probability[own], self.logits[own], embedding, self.label[own], columns)


@dataclass
class Fold:
    """Evidence of three disjoint sets of objects of one fold: trained on, validated on, in no part of the training."""

    train: Evidence
    stop: Evidence
    calibration: Evidence


class Calibration(ABC):
    """Columns beside the probabilities, from objects held out of the training. State is plain, as in every checkpoint."""

    @abstractmethod
    def fit(self, folds: Sequence[Fold], names: Sequence[str], survey: Evidence | None) -> None:
        """Learn.

        Args:
            folds: One per split of the run.
            names: Of the embedding's dimensions; empty where they have none.
            survey: Unlabelled objects of the population that will be scored, where it differs from the calibration's.
        """

    @abstractmethod
    def renew(self, held: Sequence[Evidence]) -> None:
        """Take these objects, which no network trained on, in place of those that `fit` calibrated with; one set per fold."""

    @abstractmethod
    def columns(self, evidence: Mapping[int, Evidence], pairs: Pairs | None = None) -> Columns:
        """Columns of single objects; they stand in place of the task's own of the same name.

        Args:
            evidence: Fold -> what its models say.
            pairs: Which folds are compared; None = each with its own calibration objects.
        """

    @abstractmethod
    def finish(self, predictions: pa.Table) -> pa.Table:
        """Columns that need all objects of a table together."""

    @abstractmethod
    def score(self, predictions: pa.Table) -> dict[str, float]:
        """Test metrics of a finished table with `label`."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain scalars, lists, dicts and arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> "Calibration":
        """Inverse of `state`; arrays may be tensors."""


def write_calibration(calibration: Calibration, run_folder: Path) -> None:
    """Keep it beside the checkpoints of a run."""
    kind = type(calibration)
    content = {"target": f"{kind.__module__}.{kind.__qualname__}", "state": _plain(calibration.state())}
    save_whole(content, run_folder / "checkpoints" / FILE)


def read_calibration(path: Path) -> Calibration | None:
    """The calibration of a run folder; None where it has none, or where `path` is a single checkpoint.

    Raises:
        BadInput: The file is not one of this framework.
    """
    file = path / "checkpoints" / FILE
    if not path.is_dir() or not file.is_file():
        return None
    try:
        content = load_whole(file)
        kind: type[Calibration] = class_of(content["target"], Calibration)
        return kind.from_state(content["state"])
    except BadInput:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"{file} cannot be read ({reason}): repeat the run, its command is in {path / 'job.json'}"
        ) from error


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {str(key): _plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray) and state.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(state))
    if isinstance(state, np.ndarray | list | tuple):
        return [_plain(value) for value in state]
    return state.item() if isinstance(state, np.generic) else state
