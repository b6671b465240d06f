"""Records: one row per object, columns as NumPy arrays that may be memory-mapped."""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.ragged import Ragged


class Lists(dict):
    """name -> list column of records; one that is not there is said in a line.

    Args:
        columns: The columns.
        others: Names of the list columns of the other kind.
        wanted: Of which kind these are.
    """

    def __init__(self, columns: dict, others: Iterable[str], wanted: str) -> None:
        super().__init__(columns)
        self.others, self.wanted = list(others), wanted

    def __missing__(self, name: str) -> None:
        there = ", ".join([*self, *self.others]) or "none"
        kind = (
            f"must be {self.wanted}: cast it, or choose data= of the kind that the task reads"
            if name in self.others
            else f"is missing; these are there: {there}"
        )
        raise BadInput(f"the list column {name!r} {kind}")


class Records:
    """A table of objects split into flat, ragged and fixed-length columns.

    Attributes:
        flat: `pyarrow.Table` of the columns with one value per object (`id`, `label`, `group`, metadata).
        ragged: name -> `Ragged` for list columns (light curves, sequences).
        fixed: name -> array of shape (n_objects, length) for fixed-size list columns (spectra, stamps), and for structures of
            float32 (named features).
        names: name -> what the `length` values of a structure are called.
    """

    def __init__(
        self,
        flat: pa.Table,
        ragged: dict[str, Ragged],
        fixed: dict[str, np.ndarray],
        names: dict[str, list[str]] | None = None,
    ) -> None:
        self.flat = flat
        self.ragged: dict[str, Ragged] = Lists(ragged, fixed, "a list")
        self.fixed: dict[str, np.ndarray] = Lists(fixed, ragged, "a fixed-size list, pa.list_(pa.float32(), LENGTH)")
        self.names = names or {}

    def __len__(self) -> int:
        return self.flat.num_rows

    @classmethod
    def from_table(cls, table: pa.Table) -> "Records":
        """Wrap a table of records; list columns are taken without a copy where they are one chunk.

        Raises:
            BadInput: It is no Arrow table, has no `id`, or a list is null: nothing would say how long it is.
        """
        if not isinstance(table, pa.Table):
            raise BadInput(
                f"records are a pyarrow.Table, not a {type(table).__name__}: pa.table(...) makes one of most others"
            )
        if "id" not in table.column_names:
            raise BadInput(f"column 'id' is missing; these are there: {', '.join(table.column_names)}")
        ragged, fixed, flat, names = {}, {}, {}, {}
        for field in table.schema:
            column = table[field.name]
            if column.null_count and isinstance(field.type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
                where = table["id"][pc.index(column.is_null(), True).as_py()]
                instead = "NaN for each value" if pa.types.is_fixed_size_list(field.type) else "an empty list"
                raise BadInput(f"the list {field.name} of object {where} is null: give {instead}")
            if pa.types.is_fixed_size_list(field.type):
                fixed[field.name] = _fixed(column)
            elif pa.types.is_struct(field.type):
                fixed[field.name] = np.stack([values.to_numpy() for values in column.flatten()], axis=1)
                names[field.name] = [inner.name for inner in field.type]
            elif pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
                ragged[field.name] = Ragged.from_arrow(column)
            elif pa.types.is_string_view(field.type):  # as other libraries export text; Arrow takes no rows of it
                flat[field.name] = column.cast(pa.string())
            else:
                flat[field.name] = column
        return cls(pa.table(flat), ragged, fixed, names)

    @classmethod
    def open(cls, folder: Path) -> "Records":
        """Memory-map records written by `write_records`: processes that open them share the pages.

        Raises:
            BadInput: A file is missing or cut short, as where old files of a scratch disk are removed.
        """
        try:
            with pa.memory_map(str(folder / "flat.arrow")) as source:
                flat = pa.ipc.open_file(source).read_all()
            columns = json.loads((folder / "columns.json").read_text())
            ragged, fixed = {}, {}
            for name, column in columns.items():
                values = _map(folder / f"{name}.values", column["dtype"])
                if column["length"] is None:
                    offsets = _map(folder / f"{name}.offsets", "int64")
                    _check_size(f"{name}.offsets", offsets, flat.num_rows + 1)
                    _check_size(f"{name}.values", values, offsets[-1])
                    ragged[name] = Ragged(values, offsets)
                else:
                    _check_size(f"{name}.values", values, flat.num_rows * column["length"])
                    fixed[name] = values.reshape(-1, column["length"])
        except (FileNotFoundError, NotADirectoryError, ValueError, pa.ArrowException) as error:
            raise BadInput(
                f"the kept records {folder} are damaged ({error}): remove the folder, they are made anew"
            ) from error
        names = {name: column["names"] for name, column in columns.items() if column.get("names")}
        return cls(flat, ragged, fixed, names)

    def column(self, name: str, default: float | None = None) -> np.ndarray:
        """A flat column as float or object array of shape (n_objects,); `default` fills one that is absent."""
        if name not in self.flat.column_names:
            if default is None:
                raise BadInput(f"column {name!r} is missing; these are there: {', '.join(self.flat.column_names)}")
            return np.full(len(self), default)
        return self.flat[name].to_numpy()

    @property
    def ids(self) -> np.ndarray:
        """The input's own identifiers, shape (n_objects,)."""
        return self.column("id")

    @property
    def blank(self) -> np.ndarray:
        """Objects without one finite value other than 0 in their lists, bool, shape (n_objects,)."""
        rows = [ragged.lengths == 0 for ragged in self.ragged.values()]
        rows += [~(np.isfinite(values) & (values != 0)).any(axis=1) for values in self.fixed.values()]
        return np.logical_and.reduce(rows) if rows else np.zeros(len(self), bool)

    @property
    def groups(self) -> np.ndarray:
        """What may not be torn apart by a split, shape (n_objects,); an object that the survey puts in no group is its own."""
        if "group" not in self.flat.column_names:
            return self.ids
        group = self.flat["group"]
        if not group.null_count:
            return group.to_numpy()
        own = pc.binary_join_element_wise("object", self.flat["id"].cast(pa.string()), " ")
        return pc.coalesce(group.cast(pa.string()), own).to_numpy()

    @property
    def labels(self) -> np.ndarray:
        """Class names, shape (n_objects,), None where unlabelled."""
        names, code = self._coded_labels()
        return np.array(names, dtype=object)[code]

    @property
    def labelled(self) -> np.ndarray:
        """Which objects have a label, bool, shape (n_objects,)."""
        names, code = self._coded_labels()
        return code < len(names) - 1

    def targets(self, classes: Sequence[str]) -> np.ndarray:
        """Class numbers, int64, shape (n_objects,), -1 where the label is none of the classes."""
        number: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
        names, code = self._coded_labels()
        return np.array([number.get(name, -1) for name in names], dtype=np.int64)[code]

    def _coded_labels(self) -> tuple[list[str | None], np.ndarray]:
        """Each label once, None behind them, and the number (n_objects,) of each object's: names are few, objects many."""
        if "label" not in self.flat.column_names:
            return [None], np.zeros(len(self), dtype=np.int64)
        coded = self.flat["label"].combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()
        return [*names, None], pc.fill_null(coded.indices, len(names)).to_numpy()


def write_records(tables: Iterable[pa.Table], folder: Path) -> Path:
    """Stream tables of records into a folder that `Records.open` maps; nothing is left behind if it fails half way.

    Args:
        tables: Chunks with one schema, each with a row per object.
        folder: Written under a temporary name beside it, then renamed.

    Raises:
        BadInput: There was no object at all, or files have unlike columns.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    columns: dict[str, dict] = {}
    ends: dict[str, int] = {}
    flat: list[pa.Table] = []
    try:
        for table in tables:
            records = Records.from_table(table)
            flat.append(records.flat)
            for name, ragged in records.ragged.items():
                values = np.ascontiguousarray(ragged.values)
                columns.setdefault(name, {"dtype": str(values.dtype), "length": None})
                offsets = np.asarray(ragged.offsets, dtype=np.int64)
                start = ends.get(name)
                shifted = offsets - offsets[0] + (start or 0)
                _append(temporary / f"{name}.offsets", shifted if start is None else shifted[1:])
                _append(temporary / f"{name}.values", values[offsets[0] : offsets[-1]])
                ends[name] = int(shifted[-1])
            for name, fixed in records.fixed.items():
                form = {"dtype": str(fixed.dtype), "length": int(fixed.shape[1]), "names": records.names.get(name)}
                if columns.setdefault(name, form) != form:
                    raise BadInput(f"{name} of two files have not the same columns in the same order: make them alike")
                _append(temporary / f"{name}.values", np.ascontiguousarray(fixed))
        if not flat or not sum(part.num_rows for part in flat):
            raise BadInput(f"no object was found to write to {folder.name}: the input is empty")
        try:
            merged = pa.concat_tables(flat, promote_options="permissive").combine_chunks()
        except pa.ArrowException as error:
            raise BadInput(f"two files have unlike columns, make them alike: {error}") from error
        with pa.OSFile(str(temporary / "flat.arrow"), "wb") as sink, pa.ipc.new_file(sink, merged.schema) as writer:
            writer.write_table(merged)
        (temporary / "columns.json").write_text(json.dumps(columns))
        if not folder.exists():
            os.replace(temporary, folder)
    except OSError as error:
        raise OSError(f"{folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _fixed(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), column.type.list_size)


def _append(path: Path, values: np.ndarray) -> None:
    with path.open("ab") as file:
        values.tofile(file)


def _check_size(name: str, values: np.ndarray, size: int) -> None:
    if len(values) != size:
        raise ValueError(f"{name} holds {len(values)} values, not {size}")


def _map(path: Path, dtype: str) -> np.ndarray:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
