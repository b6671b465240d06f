"""The SNAD expert knowledge base with folders of FITS cutouts, one folder per ZTF object."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pyarrow as pa

from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.surveys.fits import GZIP_MAGIC, Hdu, read_image
from astro_lightning.data.surveys.snad_embeddings import ARTEFACT, OTHER, field_of

log = logging.getLogger(__name__)
TIME_KEYS = ("HMJD", "OBSMJD", "MJD-OBS", "MJD")
SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
FILTER_R = "2"
FOLDER = re.compile(r"(\d+)(_[a-z]+)?")


class SnadFrames(Survey[Path]):
    """Reader of frames: `<path>/<oid>/*.fits` (or `<oid>_r`), and of the labels in a knowledge-base JSON beside the folders.

    An entry of the JSON has `oid` and `tags`; it is an artefact if `artefact` is among them. Records have `frames`, the
    flattened cutouts in order of time (of their names where one has no time), NaN where there was no pixel. A cutout that cannot
    be read is left out and named.

    Args:
        side_px: Side of a cutout; larger ones are cropped about their centre, smaller ones at a detector's edge are surrounded
            by NaN.
        only_r: Leave objects of other bands than r unlabelled: they are scored, and not trained on, as published.
        **arguments: Of `Survey`.
    """

    layout = "folders named by OID with *.fits cutouts, and a knowledge base *.json beside them for labels"

    def __init__(self, *, side_px: int = 28, only_r: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.side_px, self.only_r = side_px, only_r
        self._known: tuple[Path, dict[int, str]] | None = None

    def find(self, path: Path) -> list[Path]:
        """Folders of objects."""
        if path.is_file():
            return []
        if FOLDER.fullmatch(path.name):
            return [path]
        found = sorted(folder for folder in path.iterdir() if folder.is_dir() and FOLDER.fullmatch(folder.name))
        of: dict[int, Path] = {}
        for folder in found:
            other = of.setdefault(_oid(folder), folder)
            if other != folder:
                raise BadInput(
                    f"{path}: {other.name} and {folder.name} are of one object: put its cutouts into one folder"
                )
        return found

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records of one object."""
        oid = _oid(source)
        there = visible(source, "*")
        files = [file for file in there if file.name.lower().endswith(SUFFIXES)]
        if len(files) < len(there):
            other = next(file for file in there if file not in files)
            log.warning("%s: %d files are passed over, cutouts end in %s (first: %s)",
                        source, len(there) - len(files), ", ".join(SUFFIXES), other.name)  # fmt: skip
        frames: list[np.ndarray] = []
        times: list[float] = []
        unreadable: list[str] = []
        for file in files:
            try:
                raw = file.read_bytes()
                plain = bytes(cramjam.gzip.decompress(raw)) if raw[:2] == GZIP_MAGIC else raw
                image, header = read_image(plain)
                frame, time = fit_corner(image, self.side_px, header), time_of(header)
            except (OSError, ValueError, KeyError, TypeError, cramjam.DecompressionError) as error:
                unreadable.append(f"{file.name}: {error}")
                continue
            frames.append(frame)
            times.append(time)
        if unreadable:
            log.warning(
                "%s: %d of %d cutouts left out: %s", oid, len(unreadable), len(files), "; ".join(unreadable[:3])
            )
        if not frames:
            log.warning("%s: no readable cutout, the object is left out", oid)
            return
        untimed = int(np.isnan(times).sum())
        if untimed:
            log.warning(
                "%s: %d of %d cutouts have no time, all are taken in the order of their names", oid, untimed, len(times)
            )
        order = np.arange(len(times)) if untimed else np.argsort(times, kind="stable")
        values = np.stack(frames)[order].astype(np.float32)
        # An OID reads field, filter (1 digit), detector (2), quadrant (1), number (8).
        chosen = not self.only_r or str(oid)[-12:-11] == FILTER_R
        label = self._labels(source.parent).get(oid) if chosen else None
        yield pa.table(
            {
                "id": pa.array([oid]),
                "label": pa.array([label], pa.string()),
                "group": pa.array(field_of(np.array([oid]))),
                "frames": pa.array([values.ravel()], pa.list_(pa.float32())),
            }
        )

    def _labels(self, folder: Path) -> dict[int, str]:
        if self._known is None or self._known[0] != folder:
            self._known = (folder, read_knowledge_base(folder))
        return self._known[1]


def _oid(folder: Path) -> int:
    return int(folder.name.split("_")[0])


def read_knowledge_base(folder: Path) -> dict[int, str]:
    """OID -> class name from the JSON files in a folder; empty where there is none.

    JSON that is no list of entries with `oid` is of something else, and named in the log.

    Raises:
        BadInput: A JSON file is cut short, or an entry with `oid` lacks `tags`.
    """
    known: dict[int, str] = {}
    for file in visible(folder, "*.json"):
        try:
            entries = json.loads(file.read_text())
            if not isinstance(entries, list) or not any(
                isinstance(entry, dict) and "oid" in entry for entry in entries
            ):
                log.warning("%s is no knowledge base, a list of entries with oid and tags: it gives no labels", file)
                continue
            known |= {int(entry["oid"]): ARTEFACT if ARTEFACT in entry["tags"] else OTHER for entry in entries}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadInput(
                f"{file.name} is not a knowledge base, a list of entries with oid and tags: {error!r}"
            ) from error
    return known


def time_of(header: Hdu) -> float:
    """Modified Julian date of a cutout; NaN where no card holds one."""
    for key in TIME_KEYS:
        try:
            return float(header.get(key))
        except (TypeError, ValueError):
            continue
    return np.nan


def fit_corner(image: np.ndarray, side_px: int, header: Hdu | dict[str, float]) -> np.ndarray:
    """Put a cutout that a detector's edge has cut into a square of NaN, on the side where its pixels were.

    A larger cutout is cropped about its centre. Where the header counts the reference pixel from the cutout's corner, that of the
    detector's middle lies beyond the side that is there. Where it is the cutout's own middle, the missing side is nearer to it.
    """
    height, width = image.shape
    if (height, width) == (side_px, side_px):
        return image
    out = np.full((side_px, side_px), np.nan, dtype=np.float32)
    image = image[
        tuple(slice((n - side_px) // 2, (n + side_px) // 2) if n > side_px else slice(None) for n in image.shape)
    ]
    height, width = image.shape
    y, x = (
        side_px - n if missing_below(header.get(key), n) else 0 for key, n in (("CRPIX2", height), ("CRPIX1", width))
    )
    out[y : y + height, x : x + width] = image
    return out


def missing_below(reference_px: float | None, n: int) -> bool:
    """Whether a cutout n pixels wide was cut at its first pixel, told by its reference pixel (1 = the first)."""
    if reference_px is None:
        return False
    return float(reference_px) > n or 1 <= float(reference_px) < n / 2
