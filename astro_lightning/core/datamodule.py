"""What the data modules of all tasks share: survey files -> cached records -> split -> statistics -> loaders."""

import hashlib
import importlib
import json
import shutil
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
from filelock import FileLock
from torch.utils.data import DataLoader

from astro_lightning.core.build import build, reader_of
from astro_lightning.core.conf import expanded
from astro_lightning.core.loader import Batch, BatchDataset, BatchSampler, EpochLoader, make_loader, whole
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import fingerprint, object_hashes
from astro_lightning.data.locate import locate
from astro_lightning.data.records import Records, write_records
from astro_lightning.data.splits import split_by_group
from astro_lightning.data.survey import visible


class RecordsData(pl.LightningDataModule):
    """Base of a task's data module.

    A task overrides `dataset` (rows -> batch), and where it needs to `statistics` (fitted on the training rows alone),
    `lengths` (for bucketing), `part` (labelled or unlabelled objects), `rows` (another split), `tables` (what is cached) and
    `own_dataset` (more than `info` for the objects trained on).

    Args:
        data: The composed `data` group: survey name, reader, root, split shares, simulation settings.
        cache: Folder for cached records.
        seed: Of the run; the split follows `data.split_seed`.
        batch_size: Objects per batch and device.
        workers: Loader processes.
        simulate: `_target_` block of the task's synthetic twin, used with `data=simulated`.
        balanced: Draw training objects so that classes come equally often.
    """

    records: Records  # from `setup` on
    part = "labelled"
    fold: int | None = None  # the one that it tests, where a task cross-validates

    def __init__(
        self,
        *,
        data: dict,
        cache: str,
        seed: int = 0,
        batch_size: int = 64,
        workers: int = 0,
        simulate: dict | None = None,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.data, self.cache, self.seed = data, expanded(cache), seed
        self.batch_size, self.workers, self.simulate, self.balanced = batch_size, workers, simulate, balanced
        self.splits: dict[str, np.ndarray] = {}
        self.datasets: dict[bool, BatchDataset] = {}  # of `own_dataset`, with and without augmentation
        self._info: dict[str, Any] | None = None
        self._repeated: list[Batch] = []

    # ---- what a task overrides

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> BatchDataset:
        """The data set of these records.

        Args:
            records: Any records of the survey's kind, labelled or not.
            info: What `info()` returned for the training data, plain numbers, strings, lists and dicts.
            train: Whether random augmentation applies.
        """
        raise NotImplementedError(f"{cls.__name__} does not say how to make a batch")

    def own_dataset(self, train: bool) -> BatchDataset:
        """The data set of the records trained on; override it where these take more than `info`, such as another stage's file."""
        return self.dataset(self.records, self.info(), train)

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Plain numbers fitted on the training rows (scales, class counts), kept in the checkpoint."""
        return {}

    def lengths(self, records: Records) -> np.ndarray | None:
        """Length of each object for bucketing, or None."""
        return None

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """Part -> rows; the default is `split` of all rows."""
        return self.split(records, np.arange(len(records)))

    def tables(self) -> Iterator[pa.Table]:
        """What is cached: objects of the survey or the twin; override it to add objects or columns, and `records_key` with it."""
        if self.data["name"] == "simulated":
            table = build(self.simulate or {}, **self.data["simulation"])
            if self.part != "all" and "label" in table.column_names:
                has_label = pc.is_valid(table["label"])
                table = table.filter(has_label if self.part == "labelled" else pc.invert(has_label))
            return iter([table])
        reader = reader_of(self.data["reader"], self.data["memory_gib"])
        return reader.read(self.source(), part=self.part)

    # ---- what all tasks share

    def split(self, records: Records, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Part -> some of these rows: by group, stratified by class, from `data.split`.

        Where some lie outside `data.train_column` they are the test, and the others are shared out among the other parts.
        """
        inside = self.trainable(records)[rows]
        shares, own = dict(self.data["split"]), rows[inside]
        if not inside.all():
            total = 1 - shares.pop("test", 0.0)
            shares = {part: share / total for part, share in shares.items()}
        parts = split_by_group(self.groups(records)[own], records.labels[own], shares, self.data["split_seed"])
        parts = {part: own[chosen] for part, chosen in parts.items()}
        return parts if inside.all() else parts | {"test": rows[~inside]}

    def trainable(self, records: Records) -> np.ndarray:
        """(n_objects,) bool, false for the objects that `data.train_column` keeps for the test."""
        name = self.data.get("train_column")
        if name is None:
            return np.ones(len(records), bool)
        inside = records.column(name).astype(bool)
        if not inside.any():
            raise BadInput(f"data.train_column={name}: it holds for no object; give data.train_column=null")
        return inside

    def groups(self, records: Records) -> np.ndarray:
        """What the split keeps together: the column `data.split_by`."""
        return records.groups if self.data["split_by"] == "group" else records.column(self.data["split_by"])

    def prepare_data(self) -> None:
        """Read the survey's files, or simulate, into the cache; once for all ranks, safe when ranks or jobs race."""
        folder = self.records_folder()
        if folder.exists():
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            if not folder.exists():
                for left in folder.parent.glob(f".{folder.name}.*"):  # by a process that was killed: the lock is ours
                    shutil.rmtree(left, ignore_errors=True)
                tables = self.tables()
                first = next(tables, None)
                if first is None:
                    where = "the synthetic twin" if self.data["name"] == "simulated" else self.source()
                    kind = "" if self.part == "all" else f"{self.part} "
                    raise BadInput(f"{where} holds no {kind}object to train on")
                write_records(chain([first], tables), folder)

    def setup(self, stage: str | None = None) -> None:
        """Open the records, split them, fit the statistics."""
        if hasattr(self, "records"):
            return
        self.prepare_data()
        self.records = Records.open(self.records_folder())
        self.splits = self.rows(self.records)
        labels = self.records.labels.astype(str)
        absent = set(self.unknown) - set(labels)
        if absent and self.part == "labelled":
            raise BadInput(
                f"data.unknown: no object is of class {min(absent)!r}; there are {', '.join(np.unique(labels))}"
            )
        strange = np.isin(labels, self.unknown)
        if strange.any():
            self.splits = {part: rows if part == "test" else rows[~strange[rows]] for part, rows in self.splits.items()}

    @property
    def unknown(self) -> list[str]:
        """Classes of `data.unknown`: in no split but the test, where they play what no training saw."""
        return [str(name) for name in self.data.get("unknown") or []]

    def info(self) -> dict[str, Any]:
        """All that a batch or a network must know of the training data, in plain containers, for the checkpoint."""
        if self._info is None:
            self.setup()
            train = self.splits["train"]
            found = self._labels(train)
            # folds of one run must agree on the classes, also on one whose only object a fold holds out
            named = self.data.get("classes") or (found if self.fold is None else self._labels(slice(None)))
            known = [name for name in map(str, named) if name not in self.unknown]
            strange = {label for label in self.records.labels if label is not None} - set(known) - set(self.unknown)
            if self.part == "labelled" and strange and self.data.get("classes"):
                raise BadInput(
                    f"label {min(strange)!r} is not among the classes {known}: add it to data.classes or filter it"
                )
            if self.part == "labelled" and len(found) < 2:
                raise BadInput(
                    f"the training split holds {len(found)} class ({', '.join(found) or 'none'}): two are needed to learn; "
                    f'a task without classes writes part = "all" into {type(self).__name__}'
                )
            self._info = {
                "classes": known,
                "counts": np.bincount(self.records.targets(known)[train] + 1, minlength=len(known) + 1)[1:].tolist(),
                "data": {**self.data, "path": None},
                **fingerprint(self.records, self.splits),
                "splits": {part: len(rows) for part, rows in self.splits.items()},
                **self.statistics(self.records, train),
            }
        return self._info

    def _labels(self, rows: np.ndarray | slice) -> list[str]:
        return sorted({label for label in self.records.labels[rows] if label is not None}, key=_natural)

    def keep_batches(self, n: int) -> None:
        """Train on the first n batches of the training rows alone, and validate on them too (`debug=overfit`)."""
        self.setup()
        self.splits["train"] = self.splits["val"] = self.splits["train"][: n * self.batch_size]

    def train_hashes(self) -> np.ndarray:
        """Content hashes (uint64) of the training objects, so that a later prediction on them can warn."""
        self.setup()
        return object_hashes(self.records, self.splits["train"])

    def repeat_batches(self, batches: list[Batch]) -> None:
        """What every further epoch gets: for a module that gathered the training set once, such as boosted trees."""
        self._repeated = batches

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches of the training rows."""
        if self._repeated:
            return DataLoader(self._repeated, batch_size=None)  # type: ignore[arg-type]
        return self.part_loader("train", train=True)

    def val_dataloader(self) -> EpochLoader:
        """Batches of the validation rows, in order."""
        return self.part_loader("val")

    def loader(self, part: str) -> DataLoader:
        """Batches of any part of the split, in order, without augmentation; all of them on every rank."""
        return whole(self.part_loader(part))

    def part_loader(self, part: str, train: bool = False) -> EpochLoader:
        """Batches of a part for this rank; shuffled and augmented for training."""
        self.setup()
        rows = self.splits[part]
        if not len(rows):
            raise BadInput(f"the {part} split is empty: give data.split.{part} a share above 0")
        if train not in self.datasets:
            self.datasets[train] = self.own_dataset(train)
        lengths = self.lengths(self.records)
        trainer = self.trainer
        weights = None
        if train and self.balanced:
            labels = self.records.labels[rows].astype(str)
            _, code, count = np.unique(labels, return_inverse=True, return_counts=True)
            weights = 1.0 / count[code]
        sampler = BatchSampler(
            rows,
            self.batch_size,
            shuffle=train,
            seed=self.seed,
            lengths=None if lengths is None else lengths[rows],
            weights=weights,
            drop_last=train,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return make_loader(self.datasets[train], sampler, self.workers, trainer if train else None)

    def source(self) -> Path:
        """The survey's folder or file on disk."""
        return locate(self.data, self.cache)

    def records_folder(self) -> Path:
        """Where the cached records are: a name made of everything that shapes their content."""
        # There and back, all keys are text: {101: Ia, 2?: II} could not be sorted.
        key = json.loads(json.dumps(self.records_key(), default=str))
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return self.cache / "records" / f"{self.data['name']}-{self.part}-{digest}"

    def records_key(self) -> dict[str, Any]:
        """Everything that shapes the content of the records, in plain containers."""
        key: dict[str, Any] = {"part": self.part, "reader": self.data.get("reader"), "format": 2}
        if self.data["name"] == "simulated":
            if not self.simulate:
                raise BadInput("this task has no synthetic twin: choose data=... (see `astro-lightning datasets`)")
            if self.data.get("root"):
                raise BadInput(
                    f"data.root={self.data['root']}: data=simulated is made, not read; give the name of the survey that lies "
                    "there as data=NAME (see `astro-lightning datasets`)"
                )
            code = code_of(self.simulate["_target_"])
            return key | {"simulate": self.simulate, "simulation": self.data["simulation"], "code": code}
        files = files_of(self.source())
        return key | {"files": files, "code": code_of(self.data["reader"]["_target_"])}


def files_of(source: Path) -> list[list[Any]]:
    """Name, size and time of change of a file, or of all files below a folder."""
    files = [path for path in visible(source, "**/*") if path.is_file()]
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def code_of(target: str) -> str:
    """SHA-256 of the source of a function's module or package, so that what an edited twin or reader makes is made anew."""
    module = importlib.import_module(target.rpartition(".")[0])
    file = Path(str(module.__file__))
    files = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _natural(label: str) -> tuple[int, int | str]:
    return (0, int(label)) if label.isdigit() else (1, label)
