"""What every survey reader has in common: find the files, read them in chunks, name the classes, pick a part."""

import fnmatch
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import readable

Source = TypeVar("Source")

log = logging.getLogger(__name__)

PARTS = ("labelled", "unlabelled", "all")
# Tables of fewer objects are joined: of a survey with a file for each object, every step that follows would pay for each alone.
JOINED = 512
JOINED_SHARE = 32  # of `memory_gib`, a joined table takes one part at most


class Survey(ABC, Generic[Source]):
    """Reader of one survey's files.

    A subclass says what its files look like (`layout`), finds them (`find`) and turns one of them, or one set of files
    that belong together, into records (`chunks`).

    Args:
        memory_gib: Bound on the memory that reading may take; decides how many observations or images a chunk holds.
        classes: The survey's label -> class name, tried in the order given; keys may be patterns (`SN Ia*`), a value of
            None makes the object unlabelled. Empty keeps the survey's labels, None takes the survey's own default.

    Attributes:
        scoring: What is read is to be scored, which needs no label: one without a class is not known, where training stops.
    """

    layout: ClassVar[str]
    default_classes: ClassVar[Mapping[str, str | None]] = {}
    scoring: bool = False
    _numbered: int = 0

    def __init__(self, *, memory_gib: float = 1.0, classes: Mapping[str, str | None] | None = None) -> None:
        if not memory_gib > 0:
            raise BadInput(f"memory_gib={memory_gib}: give a positive number of GiB")
        self.memory_gib = memory_gib
        given = self.default_classes if classes is None else classes
        self.classes = {str(label): None if name is None else str(name) for label, name in given.items()}

    @abstractmethod
    def find(self, path: Path) -> list[Source]:
        """The survey's files in `path`, a file or a folder, in reading order; empty where there are none."""

    @abstractmethod
    def chunks(self, source: Source) -> Iterator[pa.Table]:
        """Records of one of the things that `find` returned, `label` holding class names or null."""

    def read(self, path: Path, part: str = "all") -> Iterator[pa.Table]:
        """Records in the input's order, in chunks of bounded size.

        Args:
            path: File or folder.
            part: `labelled`, `unlabelled` or `all` objects.

        Raises:
            BadInput: Unknown part; `path` is absent or holds none of the survey's files; a file cannot be used.
        """
        if part not in PARTS:
            raise BadInput(f"part={part!r} is unknown: give one of {', '.join(PARTS)}")
        return joined(self._parts(self.sources(path), part, path), int(self.memory_gib * 2**30 / JOINED_SHARE))

    def sources(self, path: Path) -> list[Source]:
        """What `find` finds in `path`.

        Raises:
            BadInput: `path` is absent or holds none of the survey's files; the message says what was looked for.
        """
        path = Path(path)
        if not path.exists():
            raise BadInput(f"{path} does not exist: give {self.layout}, or the folder that holds them")
        with readable(path):
            sources = self.find(path)
        if not sources:
            parts = next(
                (f" ({p.name} is a folder: give it as one file)" for p in path.rglob("*.parquet") if p.is_dir()), ""
            )
            raise BadInput(f"{path} holds no data of {type(self).__name__}: looked for {self.layout}{parts}")
        return sources

    def numbered(self, n_objects: int, file: Path) -> pa.Array:
        """Identifiers of the next objects of this reading, for a file that gives none; a warning says so."""
        if not self._numbered:
            log.warning("%s: no column of identifiers: objects are numbered in the order of reading", file)
        self._numbered += n_objects
        return pa.array(range(self._numbered - n_objects, self._numbered), pa.int64())

    def _parts(self, sources: list[Source], part: str, path: Path) -> Iterator[pa.Table]:
        self._numbered = 0
        for source in sources:
            with readable(source if isinstance(source, Path) else path):
                for records in self.chunks(source):
                    chosen = _select(records, part)
                    if chosen.num_rows:
                        yield chosen

    def class_names(self, labels: pa.Array | pa.ChunkedArray, where: str) -> pa.Array | pa.ChunkedArray:
        """Map the survey's labels (strings, null = unlabelled) to class names.

        Raises:
            BadInput: A label that `classes` does not cover, unless the objects are to be scored; the message names it and `where`
                it stands.
        """
        if not self.classes:
            return labels
        found = pc.drop_null(pc.unique(labels)).to_pylist()
        names = [self._class_name(label, where) for label in found]
        return pc.take(pa.array(names, pa.string()), pc.index_in(labels, value_set=pa.array(found, labels.type)))

    def _class_name(self, label: str, where: str) -> str | None:
        for pattern, name in self.classes.items():
            # Survey labels such as "SN Iax[02cx-like]" hold the characters of patterns.
            if label == pattern or fnmatch.fnmatchcase(label, pattern):
                return name
        if self.scoring:
            log.warning("%s: label %r has no class, taken as not known", where, label)
            return None
        raise BadInput(f"{where}: label {label!r} has no class: add it to classes (now {', '.join(self.classes)})")


def joined(tables: Iterable[pa.Table], most_bytes: int) -> Iterator[pa.Table]:
    """The same rows in the same order; neighbours of one schema in one table of up to JOINED rows and about `most_bytes`."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        if waiting and (table.schema != waiting[0].schema or rows + table.num_rows > JOINED):
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= JOINED or size >= most_bytes:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def visible(path: Path, pattern: str) -> list[Path]:
    """Files of a folder whose name fits a pattern, by path; with `**/` those below it too; the file itself where `path` is one.

    Links to folders are followed, each folder once. Hidden files and folders are left out: what a copying program, a desktop or
    a killed command left there is no data.
    """
    if path.is_file():
        return [path]
    name = pattern.removeprefix("**/")
    folders = _folders(path) if name != pattern else [path]
    found = (file for folder in folders for file in folder.glob(name) if not file.name.startswith("."))
    return sorted(file for file in found if not file.is_dir())


def _folders(top: Path) -> Iterator[Path]:
    seen = set()
    for at, below, _ in os.walk(top, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:  # a link that leads back up, or where another one leads to
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(at)


def _select(records: pa.Table, part: str) -> pa.Table:
    if part == "all":
        return records
    if "label" not in records.column_names:
        return records if part == "unlabelled" else records.slice(0, 0)
    labelled = pc.is_valid(records["label"])
    return records.filter(labelled if part == "labelled" else pc.invert(labelled))
