"""Image stamps of detections (science, template, difference) as AVRO packets, NumPy archives or the FITS tables of ZTF-NEW."""

import glob
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.lib.npyio import NpzFile

from astro_lightning.data.binary_labels import binary_labels
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import identifiers
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.surveys.alerts_avro import Packet, packet_files, read_packets
from astro_lightning.data.surveys.stamps_fits import open_stamp_table
from astro_lightning.data.tables import column_names, read_table, readable

log = logging.getLogger(__name__)
REAL, BOGUS = "real", "bogus"
CHANNELS = 3
ID_NAMES = ("candid", "diaSourceId", "id")
FITS = re.compile(r"\.(fits|fit)(\.gz)?$", re.IGNORECASE)
FITS_LABEL = re.compile(r"new_(real|bogus)_(\w+)\.fits(\.gz)?$")


class Stamps(Survey[Path]):
    """Reader of stamps in any of their three formats; what a file is follows from its name's end.

    Records have `stamp`, a flat (3, stamp_px, stamp_px) float32 list with NaN where there was no pixel: larger cutouts are
    cropped about their centre, smaller ones are surrounded by NaN. `group` is the survey's object where it is known.

    Args:
        stamp_px: Side of a stamp in pixels.
        label_column: Column of the table beside an archive that says 1 = real, 0 = bogus.
        score_column: Column with the probability of being real that another classifier gave, to learn from; never an input.
        band: Which of the ZTF-NEW tables (`zg`, `zr`, `fuse`), or None for all that are there.
        schema: `.avsc` file of Confluent messages, or a folder of them, see `read_packets`.
        **arguments: Of `Survey`.
    """

    layout = "packets (*.avro), archives with an array `triplets` (*.npz), or tables new_real_BAND.fits and new_bogus_BAND.fits"

    def __init__(
        self,
        *,
        stamp_px: int = 63,
        label_column: str = "weak_label_real",
        score_column: str | None = None,
        band: str | None = None,
        schema: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.stamp_px, self.label_column, self.score_column, self.band = stamp_px, label_column, score_column, band
        self.schema = Path(schema) if schema else None

    def find(self, path: Path) -> list[Path]:
        """Labelled tables, archives or other tables by name; the folder itself where it holds packets. One of these alone."""
        if path.is_file():
            return [path]
        tables = [file for file in visible(path, "**/*") if FITS.search(file.name)]
        kinds = {
            "labelled tables": [file for file in tables if self._wanted(file)],
            "archives": [file for file in visible(path, "*.npz") if "triplets" in _archive(file)],
            "packets": packet_files(path),
            "tables without a label in their names": [file for file in tables if not FITS_LABEL.search(file.name)],
        }
        read = next((kind for kind, files in kinds.items() if files), "packets")
        for kind, files in kinds.items():
            if files and kind != read:
                log.warning(
                    "%s: %d %s are passed over, the %s are read: give them by themselves", path, len(files), kind, read
                )
        return [path] if read == "packets" and kinds[read] else kinds[read]

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records, as many stamps at once as memory allows."""
        # A float32 stamp is copied twice on its way into Arrow.
        rows = max(1, int(self.memory_gib * 2**30 / (CHANNELS * self.stamp_px**2 * 12)))
        if source.suffix == ".npz":
            return self._archive(source, rows)
        if FITS.search(source.name):
            return self._table(source, rows)
        return self._packets(source, rows)

    def _wanted(self, file: Path) -> bool:
        match = FITS_LABEL.search(file.name)
        return match is not None and self.band in (None, match[2])

    def _packets(self, source: Path, rows: int) -> Iterator[pa.Table]:
        waiting: list[Packet] = []
        for packet in read_packets(source, self.schema):
            waiting.append(packet)
            if len(waiting) == rows:
                yield self.from_packets(waiting)
                waiting = []
        if waiting:
            yield self.from_packets(waiting)

    def from_packets(self, packets: list[Packet]) -> pa.Table:
        """Records of alerts, unlabelled, in their order."""
        stamp = np.stack([np.stack([fit_to(cutout, self.stamp_px) for cutout in packet.cutouts]) for packet in packets])
        ids = pa.array([packet.id for packet in packets], pa.int64())
        group = pa.array([packet.object_id for packet in packets])
        return self._records(ids, group, pa.nulls(len(packets), pa.string()), np.full(len(packets), np.nan), stamp)

    def _archive(self, source: Path, rows: int) -> Iterator[pa.Table]:
        archive = _archive(source)
        if "triplets" not in archive:
            raise BadInput(f"{source.name} has no array `triplets`: it holds {', '.join(archive)}")
        shape, blocks = _triplets(archive, rows)
        if len(shape) != 4 or CHANNELS not in (shape[1], shape[3]):
            raise BadInput(
                f"{source.name}: triplets have shape {shape}: give (n, 3, height, width) or (n, height, width, 3)"
            )
        n = shape[0]
        name = next((name for name in ID_NAMES if name in archive), None)
        ids = _identifiers(archive[name], source) if name else np.arange(n, dtype=np.int64)
        if len(ids) != n:
            raise BadInput(f"{source.name} has {len(ids)} {name} and {n} triplets: give one for each")
        group, label, score = self._beside(source, ids if name else None, n)
        for start, stamps in zip(range(0, n, rows), blocks, strict=True):
            part = slice(start, start + rows)
            first = stamps if shape[1] == CHANNELS else stamps.transpose(0, 3, 1, 2)
            fitted = fit_to(first.astype(np.float32), self.stamp_px)
            names = pa.array(label[part], pa.string())
            yield self._records(pa.array(ids[part]), pa.array(group[part]), names, score[part], fitted)

    def _beside(self, source: Path, ids: np.ndarray | None, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Object, label and score of each stamp from the table in the same order whose name begins like the archive's.

        Tables that hold none of these, or of another number of rows and without labels, are of something else.
        """
        stem = source.stem.split("_triplets")[0]
        default = (np.arange(n) if ids is None else ids).astype(str)
        for file in visible(source.parent, f"{glob.escape(stem)}*.csv"):
            names = column_names(file)
            table = read_table(file) if {"objectId", self.label_column, self.score_column} & set(names) else None
            if table is None or (table.num_rows != n and self.label_column not in names):
                log.warning("%s gives no object, label or score of each of the %d stamps in %s", file, n, source.name)
                continue
            if table.num_rows != n:
                raise BadInput(
                    f"{file.name} has {table.num_rows} rows, {source.name} {n} stamps: they must be in the same order"
                )
            key = next((name for name in ID_NAMES if name in table.column_names), None)
            # Tables that passed through float64 have lost the last digits of an identifier.
            kinds = (pa.int64(), pa.string())
            exact = key is not None and table[key].type in kinds and pa.array(ids).type == table[key].type
            if exact and not (table[key].to_numpy() == ids).all():
                raise BadInput(f"{file.name} and {source.name} differ in {key}: they must be in the same order")
            group = (
                np.array(table["objectId"].to_pylist(), dtype=object) if "objectId" in table.column_names else default
            )
            label = np.full(n, None, dtype=object)
            if self.label_column in table.column_names:
                named = binary_labels(
                    table[self.label_column].combine_chunks(), REAL, BOGUS, f"{file} {self.label_column}"
                )
                label = np.array(named.to_pylist(), dtype=object)
            score = Metadata(table, file).numbers(str(self.score_column))
            return group.astype(str), label, score
        return default, np.full(n, None, dtype=object), np.full(n, np.nan)

    def _table(self, source: Path, rows: int) -> Iterator[pa.Table]:
        match = FITS_LABEL.search(source.name)
        stamps = open_stamp_table(source)
        prefix = FITS.sub("", source.name)
        for start in range(0, len(stamps), rows):
            images = np.asarray(stamps[start : start + rows], dtype=np.float32).transpose(0, 3, 1, 2)
            ids = pa.array([f"{prefix}:{i}" for i in range(start, start + len(images))])
            label = pa.array([match[1] if match else None] * len(images), pa.string())
            yield self._records(ids, ids, label, np.full(len(images), np.nan), fit_to(images, self.stamp_px))

    def _records(
        self, ids: pa.Array, group: pa.Array, label: pa.Array, score: np.ndarray, stamp: np.ndarray
    ) -> pa.Table:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(stamp.ravel(), pa.float32()), CHANNELS * self.stamp_px**2)
        return pa.table(
            {"id": ids, "label": label, "group": group, "score": pa.array(score, pa.float32()), "stamp": flat}
        )


def _identifiers(values: np.ndarray, source: Path) -> np.ndarray:
    native = values.astype(values.dtype.newbyteorder("="))
    exact = identifiers(pa.chunked_array([pa.array(native)]), str(source))
    return exact.to_numpy() if pa.types.is_integer(exact.type) else exact.to_numpy().astype(str)


def _archive(file: Path) -> NpzFile:
    """The arrays of a NumPy archive by name, each read when it is asked for."""
    with readable(file):
        return np.load(file)


def _triplets(archive: NpzFile, rows: int) -> tuple[tuple[int, ...], Iterator[np.ndarray]]:
    """Shape of the array `triplets`, and its stamps, so many at a time: all of them may be more than memory holds."""
    assert archive.zip is not None  # it is open
    member = archive.zip.open("triplets.npy")
    if np.lib.format.read_magic(member) == (1, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(member)
        if shape and not by_column and not dtype.hasobject:
            return shape, _blocks(member, shape, dtype, rows)
    stamps = archive["triplets"]
    return stamps.shape, (stamps[start : start + rows] for start in range(0, len(stamps), rows))


def _blocks(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, rows: int) -> Iterator[np.ndarray]:
    for start in range(0, shape[0], rows):
        block = (min(rows, shape[0] - start), *shape[1:])
        yield np.frombuffer(member.read(math.prod(block) * dtype.itemsize), dtype).reshape(block)


def fit_to(images: np.ndarray, side_px: int) -> np.ndarray:
    """Crop images (..., height, width) about their centre, or surround them with NaN, to (..., side_px, side_px)."""
    height, width = images.shape[-2:]
    if (height, width) == (side_px, side_px):
        return images
    out = np.full((*images.shape[:-2], side_px, side_px), np.nan, dtype=np.float32)
    (to_y, from_y), (to_x, from_x) = _overlap(height, side_px), _overlap(width, side_px)
    out[..., to_y, to_x] = images[..., from_y, from_x]
    return out


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    n = min(have, want)
    to, start = (want - n) // 2, (have - n) // 2
    return slice(to, to + n), slice(start, start + n)
