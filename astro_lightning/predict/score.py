"""One table in, one table out: the function that every front end (file, catalogue, stream) calls."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from lightning_fabric.utilities import move_data_to_device
from scipy.special import softmax
from torch import Tensor

from astro_lightning.core.calibration import EMBEDDING, FILE, LOGITS, Columns, Evidence, Pairs, read_calibration
from astro_lightning.core.checkpoint import Restored, predicting_checkpoints, restore
from astro_lightning.core.loader import Batch, BatchSampler, EpochLoader, make_loader
from astro_lightning.core.task import TaskModule
from astro_lightning.data.records import Records

FULL_BATCH = 64  # objects, at most, of a batch that is always full
CALIBRATED = 1 << 16  # objects whose evidence is held at once: a calibration takes several copies of it


class Scorer:
    """Scores records with one checkpoint, or with all predicting checkpoints of a run (columns of one name are averaged).

    A run folder's calibration adds its columns; a single checkpoint has none. Some columns need the whole of a table (flags at
    a false-discovery rate, class proportions): `score` gives those of single objects, `finish` the others, `predict` both.

    Picklable: a worker process rebuilds the networks from the same files.

    Args:
        path: A .ckpt file or a run folder.
        device: Where the networks run.
        batch_size: Objects per batch; None = as in training.
        precision: `bf16-mixed` runs under autocast; anything else at full precision.
        exact: A score is the same to the last bit whatever else stands in the table: sums of floats follow the shape of a
            batch, so lists of unequal length are scored one by one, all else in batches that are always full.

    Raises:
        BadInput: The checkpoint is missing, cut short or not of this framework.
    """

    def __init__(
        self,
        path: Path | str,
        device: str = "cpu",
        batch_size: int | None = None,
        precision: str | None = None,
        exact: bool = False,
    ) -> None:
        self.path, self.device = Path(path), torch.device(device)
        self.batch_size, self.precision, self.exact = batch_size, precision, exact
        self.files = predicting_checkpoints(self.path)
        self.members: list[Restored] = [restore(file) for file in self.files]
        for member in self.members:
            member.module.to(self.device)
        self.calibration = read_calibration(self.path)
        if self.calibration is not None:
            self.files = [*self.files, self.path / "checkpoints" / FILE]

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return Scorer, self.arguments

    @property
    def arguments(self) -> tuple[Path, str, int | None, str | None, bool]:
        """What makes this scorer again, in another process."""
        return self.path, str(self.device), self.batch_size, self.precision, self.exact

    @property
    def info(self) -> dict[str, Any]:
        """What the first member's data module had learned from its training data."""
        return self.members[0].info

    @property
    def needs_whole(self) -> bool:
        """Whether `finish` does anything: some columns may then depend on what else is in the table."""
        own = type(self.members[0].module).finish
        overridden = getattr(own, "__func__", own) is not TaskModule.finish.__func__  # type: ignore[attr-defined]
        return overridden or self.calibration is not None

    @property
    def classes(self) -> list[str]:
        """Class names of all members, in order, each once."""
        return list(dict.fromkeys(name for member in self.members for name in member.info["classes"]))

    @property
    def folds(self) -> list[list[Restored]]:
        """Members by the split that they were trained on, in order."""
        splits: dict[str, list[Restored]] = {}
        for member in self.members:
            splits.setdefault(str(member.info.get("split_sha256")), []).append(member)
        return list(splits.values())

    def predict_table(self, table: pa.Table) -> pa.Table:
        """Score records.

        Args:
            table: One row per object (see `data.records`), labelled or not.

        Returns:
            One row per object in the same order: `id` and the columns of the task, `prob_<class>` among them.
        """
        return self.predict(Records.from_table(table))

    def predict(self, records: Records, rows: np.ndarray | None = None) -> pa.Table:
        """Like `predict_table` for opened records, or for some of their rows."""
        return self.finish(self.score(records, rows))

    def score(self, records: Records, rows: np.ndarray | None = None, pairs: Pairs | None = None) -> pa.Table:
        """`id` and the columns that depend on one object alone.

        Args:
            records: The objects.
            rows: Of some of them.
            pairs: Which folds score, and with whose calibration objects they compare; None = each with its own.
        """
        rows = np.arange(len(records)) if rows is None else rows
        pairs = pairs or [(f, f) for f in range(len(self.folds))]
        if self.calibration is not None and len(rows) > CALIBRATED:
            blocks = np.split(rows, range(CALIBRATED, len(rows), CALIBRATED))
            return pa.concat_tables([self.score(records, block, pairs) for block in blocks], promote_options="default")
        chosen = dict.fromkeys(f for f, _ in pairs)
        if self.calibration is not None and len(rows):
            merged = self._calibrated({f: self.evidence(records, rows, f) for f in chosen}, pairs)
        else:
            merged = self._merged([self._columns(member, records, rows) for f in chosen for member in self.folds[f]])
        columns = {name: _arrow(values) for name, values in merged.items()}
        return pa.table({"id": records.flat["id"].take(pa.array(rows)), **columns})

    def _calibrated(self, evidence: dict[int, Evidence], pairs: Pairs) -> Columns:
        assert self.calibration is not None
        own = self._merged([said.own for said in evidence.values()])
        if self.exact:
            n = len(next(iter(evidence.values())).label)
            rows = _filled(np.arange(n), FULL_BATCH)
            parts = [
                self.calibration.columns({f: said.only(part) for f, said in evidence.items()}, pairs)
                for part in np.split(rows, len(rows) // FULL_BATCH)
            ]
            found: Columns = {
                name: pa.concat_arrays([_arrow(one[name]) for one in parts]).slice(0, n) for name in parts[0]
            }
        else:
            found = self.calibration.columns(evidence, pairs)
        return found | {name: values for name, values in own.items() if name not in found}

    def finish(self, predictions: pa.Table) -> pa.Table:
        """Add the columns that need all objects of a table together (flags at a false-discovery rate, class proportions)."""
        if not predictions.num_rows:
            return predictions
        first = self.members[0]
        predictions = first.module.finish(predictions, first.info)
        return predictions if self.calibration is None else self.calibration.finish(predictions)

    def evidence(self, records: Records, rows: np.ndarray, fold: int) -> Evidence:
        """What the members of one fold say of these rows, for a calibration."""
        members = self.folds[fold]
        classes = members[0].info["classes"]
        usual = {LOGITS, EMBEDDING, *(f"prob_{name}" for name in classes)}
        found = [self._outputs(member, records, rows, _evidence_and_columns(member.module)) for member in members]
        own = [{name: values for name, values in each.items() if name not in usual} for each in found]
        return Evidence(
            probability=np.mean([softmax(each[LOGITS].astype(np.float64), axis=1) for each in found], axis=0),
            logits=found[0][LOGITS],
            embedding=found[0].get(EMBEDDING),
            label=records.targets(classes)[rows],
            own=self._merged(own),
        )

    @torch.inference_mode()
    def embed(self, records: Records, rows: np.ndarray | None = None) -> pa.Table:
        """One vector per object by the first member: vectors of several networks have no common axes.

        Returns:
            `id` and `embedding`, a fixed-size list of float.

        Raises:
            BadInput: The task has no embedding.
        """
        rows = np.arange(len(records)) if rows is None else rows
        first = self.members[0]
        with self._autocast(first):
            vectors = [
                _numpy(first.module.embed(move_data_to_device(batch, self.device)))
                for batch in self.batches(first, records, rows)
            ]
        ids = records.flat["id"].take(pa.array(rows))
        return pa.table({"id": ids, "embedding": _arrow(np.concatenate(vectors))})

    def seen_in_training(self, hashes: np.ndarray, members: Sequence[Restored] | None = None) -> int:
        """How many objects of these content hashes one of these members was trained on; None = of all members."""
        seen = np.zeros(len(hashes), bool)
        for member in self.members if members is None else members:
            # They are ascending: a part of a file costs a look into them, not a pass over all that was trained on.
            place = (np.searchsorted(member.train_hashes, hashes, side) for side in ("left", "right"))
            seen |= np.less(*place)
        return int(seen.sum())

    def batches(self, member: Restored, records: Records, rows: np.ndarray) -> EpochLoader:
        """Batches of these rows, in order, without augmentation; an exact scorer fills the last one up with its first row."""
        size = self.batch_size or int(member.identity["batch_size"])
        if self.exact:
            size = 1 if records.ragged else min(size, FULL_BATCH)
            rows = _filled(rows, size)
        return make_loader(member.datamodule.dataset(records, member.info), BatchSampler(rows, size))

    def _columns(self, member: Restored, records: Records, rows: np.ndarray) -> dict[str, np.ndarray]:
        if not len(rows):
            return {f"prob_{name}": np.empty(0, np.float32) for name in member.info["classes"]}
        return self._outputs(member, records, rows, member.module.predict_step)

    @torch.inference_mode()
    def _outputs(
        self, member: Restored, records: Records, rows: np.ndarray, ask: Callable[[Batch], dict[str, Tensor]]
    ) -> dict[str, np.ndarray]:
        parts: list[dict[str, np.ndarray]] = []
        with self._autocast(member):
            for batch in self.batches(member, records, rows):
                parts.append(
                    {name: _numpy(values) for name, values in ask(move_data_to_device(batch, self.device)).items()}
                )
        return {name: np.concatenate([part[name] for part in parts])[: len(rows)] for name in parts[0]}

    def _autocast(self, member: Restored) -> torch.autocast:
        half = self.precision == "bf16-mixed" and member.module.precision is None
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half)

    def _merged(self, members: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        names = dict.fromkeys(name for columns in members for name in columns)
        whole = self.members[0].module.not_averaged
        merged = {name: [columns[name] for columns in members if name in columns] for name in names}
        return {name: values[0] if name in whole else _mean(values) for name, values in merged.items()}


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """With the first row again until they make full batches of this size."""
    return np.concatenate([rows, np.repeat(rows[:1], -len(rows) % size)])


def _numpy(values: Tensor | np.ndarray | Sequence[str]) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.float().cpu().numpy() if values.is_floating_point() else values.cpu().numpy()
    return np.asarray(values, dtype=object)


def _evidence_and_columns(module: TaskModule) -> Callable[[Batch], dict[str, Tensor]]:
    kind = type(module)
    # The probabilities alone need no second pass: they follow from the logits.
    if (kind.columns, kind.predict_step) == (TaskModule.columns, TaskModule.predict_step):
        return module.evidence
    return lambda batch: module.predict_step(batch) | module.evidence(batch)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    # Words and flags cannot be averaged; members that disagree on them settle it in `finish`.
    return (
        np.mean(values, axis=0, dtype=values[0].dtype) if len(values) > 1 and values[0].dtype.kind == "f" else values[0]
    )


def _arrow(values: np.ndarray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return pa.array(values)
