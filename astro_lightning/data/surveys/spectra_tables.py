"""Spectra published as tables: Tianchi (text files), biendata (wide CSV), China-VO (FITS images), Parquet, Feather."""

import csv as text_csv
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet as pq
from pyarrow import csv

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import check_names, identifiers
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.surveys.fits import read_hdus
from astro_lightning.data.surveys.spectra_grid import N_PIXELS, resample, spectra_table
from astro_lightning.data.tables import parquet_file, read_table, readable

log = logging.getLogger(__name__)

CHINA_VO_WAVELENGTH_A = np.linspace(3900, 9000, 3000)
CHINA_VO_LABELS = np.array(["GALAXY", "QSO", "STAR"])
# Names that other tables give to the records' columns.
ALIASES = {
    "id": ("id", "objid", "specobjid", "object_id", "obsid", "key"),
    "label": ("label", "type", "class", "answer"),
    "group": ("group", "group_id"),
}
WORDS, NUMBERS = ("subclass", "survey"), ("z", "zwarning", "snr", "ra", "dec")


def upper(labels: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Class names in capitals, empty ones null."""
    if pa.types.is_floating(labels.type):
        labels = pc.if_else(pc.is_nan(labels), None, labels)
    text = pc.utf8_upper(pc.utf8_trim_whitespace(labels.cast(pa.string())))
    return pc.if_else(pc.equal(text, ""), None, text)


def read_parquet(file: Path, rows: int) -> Iterator[pa.Table]:
    """Chunks of a Parquet or Feather file with lists `flux` and, if known, `ivar` of 2600 on 3800 + 2 i A.

    What the networks do not take (z, zwarning, ra, dec) is null where it cannot be read as a number.

    Raises:
        BadInput: No flux column, lists of another length, an object without its id, or a damaged file.
    """
    first = 0
    for batch in _batches(file, rows):
        table = pa.Table.from_batches([batch])
        check_names(table.column_names, str(file))
        names = {name.lower(): name for name in table.column_names}
        found = {key: next((names[a] for a in aliases if a in names), None) for key, aliases in ALIASES.items()}
        flux = _lists(table, names, "flux", file, first)
        ivar = _lists(table, names, "ivar", file, first) if "ivar" in names else np.isfinite(flux).astype(np.float32)
        if not found["id"] and not first:
            log.warning("%s: no column %s: its rows are numbered from 0", file, " or ".join(ALIASES["id"]))
        columns = {
            "id": identifiers(_decoded(table[found["id"]]), str(file)).combine_chunks()
            if found["id"]
            else pa.array(np.arange(first, first + len(table))),
            **({"group": _decoded(table[found["group"]]).combine_chunks()} if found["group"] else {}),
            **({"label": upper(table[found["label"]]).combine_chunks()} if found["label"] else {}),
            **{name: _decoded(table[names[name]]).combine_chunks() for name in WORDS if name in names},
            **{name: _numbers(_decoded(table[names[name]])) for name in NUMBERS if name in names},
        }
        # a table's own column is the last word: a converted one holds none for spectra without errors
        yield spectra_table(flux, ivar, columns, errors_known="ivar" in names and "snr" not in names)
        first += len(table)


def has_flux(file: Path) -> bool:
    """Whether a Parquet or Feather file has the column `flux`, or is too damaged to tell."""
    try:
        if file.suffix.lower() == ".parquet":
            names = pq.read_schema(file).names
        else:
            with pa.memory_map(str(file)) as source:
                names = pa.ipc.open_file(source).schema.names
    except (pa.ArrowException, OSError):
        return True
    return "flux" in {name.lower() for name in names}


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _numbers(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        return column.combine_chunks()
    return pa.array(pd.to_numeric(column.to_pandas(), errors="coerce"), pa.float64(), from_pandas=True)


def _batches(file: Path, rows: int) -> Iterator[pa.RecordBatch]:
    try:
        if file.suffix.lower() == ".parquet":
            yield from parquet_file(file).iter_batches(rows)
        else:
            yield from pyarrow.feather.read_table(file, memory_map=True).to_batches(rows)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file} cannot be read ({str(error).splitlines()[0]}): get the file again") from error


def _lists(table: pa.Table, names: dict[str, str], name: str, file: Path, first: int) -> np.ndarray:
    if name not in names:
        raise BadInput(f"{file}: the column {name} is missing: it holds {N_PIXELS} numbers on 3800 + 2 i Angstrom each")
    column = table[names[name]].combine_chunks()
    lists = isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy() if lists else np.zeros(len(table), int)
    bad = np.flatnonzero(lengths != N_PIXELS)
    if len(bad):
        raise BadInput(
            f"{file}: {name} of row {first + bad[0]} holds {lengths[bad[0]]} numbers, {N_PIXELS} are needed: "
            "resample it to 3800 + 2 i Angstrom first"
        )
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, N_PIXELS).astype(np.float32)


def read_tianchi(index: Path, rows: int) -> Iterator[pa.Table]:
    """Chunks of the Tianchi form: `index.csv` (id, type) and beside it or below it `<id>.txt` of 2600 numbers.

    Raises:
        BadInput: A listed text file is absent or has another length.
    """
    table = read_table(index)
    names = {name.lower(): name for name in table.column_names}
    label = next((names[a] for a in ALIASES["label"] if a in names), None)
    keys = _keys(table, index)
    files = {path.stem: path for path in index.parent.rglob("*.txt")}
    ids = keys.cast(pa.string()).to_pylist()
    for start in range(0, len(ids), rows):
        part = ids[start : start + rows]
        flux = np.empty((len(part), N_PIXELS), np.float32)
        for i, name in enumerate(part):
            if name not in files:
                raise BadInput(f"{index}: spectrum {name} is listed, but {name}.txt is not below {index.parent}")
            with readable(files[name]):
                values = np.array(files[name].read_text().strip(" \n,").split(","), np.float32)
            if len(values) != N_PIXELS:
                raise BadInput(f"{files[name]}: {len(values)} numbers instead of {N_PIXELS}")
            flux[i] = values
        columns = {"id": keys.slice(start, len(part)).combine_chunks(), "survey": ["LAMOST"] * len(part)}
        if label is not None:
            columns["label"] = upper(table[label].slice(start, len(part))).combine_chunks()
        yield spectra_table(flux, (flux != 0).astype(np.float32), columns, errors_known=False)


def lists_spectra(index: Path) -> bool:
    """Whether a CSV lists one text file that is below its folder, or is too damaged to tell."""
    try:
        listed = _keys(read_table(index), index).cast(pa.string())
    except BadInput:
        return True
    return bool({path.stem for path in index.parent.rglob("*.txt")} & set(listed.to_pylist()))


def _keys(table: pa.Table, index: Path) -> pa.ChunkedArray:
    names = {name.lower(): name for name in table.column_names}
    return Metadata(table, index).ids(*(names.get(name, name) for name in ALIASES["id"]))


def read_biendata(file: Path, rows: int) -> Iterator[pa.Table]:
    """Chunks of the biendata form: CSV with FE0..FE2599, id and, if labelled, answer; repeated header rows are dropped.

    Raises:
        BadInput: A flux column is missing.
    """
    with readable(file), pa.input_stream(str(file)) as stream:
        header = next(text_csv.reader(io.TextIOWrapper(stream, "utf-8-sig")))
    wanted = [f"FE{i}" for i in range(N_PIXELS)]
    missing = sorted({*wanted, "id"} - set(header))
    if missing:
        raise BadInput(
            f"{file}: the column {missing[0]} is missing: id and {N_PIXELS} flux columns FE0..FE{N_PIXELS - 1} are needed"
        )
    # Text first: a repeated header inside the file would stop a numeric parser.
    convert = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    read = csv.ReadOptions(block_size=max(1 << 20, rows * N_PIXELS * 12))
    with csv.open_csv(file, read_options=read, convert_options=convert) as reader:
        for batch in reader:
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.not_equal(table["FE0"], "FE0"))
            if not len(table):
                continue
            with readable(file):  # an empty cell is a pixel that was not measured
                cells = [pc.if_else(pc.equal(table[name], ""), None, table[name]) for name in wanted]
                flux = np.column_stack([pc.cast(cell, pa.float32()).to_numpy() for cell in cells])
            label = next((name for name in ("answer", "label", "type") if name in header), None)
            columns = {"id": table["id"].combine_chunks(), "survey": ["LAMOST"] * len(table)}
            if label is not None:
                columns["label"] = upper(table[label]).combine_chunks()
            usable = (np.isfinite(flux) & (flux != 0)).astype(np.float32)
            yield spectra_table(flux, usable, columns, errors_known=False)


def read_china_vo(file: Path, rows: int) -> Iterator[pa.Table]:
    """Chunks of the China-VO form: flux [N, 3000] on linspace(3900, 9000, 3000) A and, if labelled, objid and label."""
    hdus = read_hdus(file)
    with readable(file):
        flux = hdus[0].image()
        facts = hdus[1].table() if len(hdus) > 1 else None
    if flux.ndim != 2 or flux.shape[1] != len(CHINA_VO_WAVELENGTH_A):
        raise BadInput(f"{file}: the first image has the shape {flux.shape}; (N, 3000) is needed")
    names = facts.dtype.names or () if facts is not None else ()
    for start in range(0, len(flux), rows):
        part = slice(start, min(start + rows, len(flux)))
        values, ivar = resample(CHINA_VO_WAVELENGTH_A, flux[part], (flux[part] != 0).astype(float))
        columns: dict[str, object] = {"id": np.arange(part.start, part.stop), "survey": ["LAMOST"] * len(values)}
        if facts is not None and "OBJID" in names:
            columns["id"] = facts["OBJID"][part].astype(np.int64)
        if facts is not None and "LABEL" in names:
            columns["label"] = CHINA_VO_LABELS[facts["LABEL"][part].astype(int)]
        yield spectra_table(values, ivar, columns, errors_known=False)  # type: ignore[arg-type]
