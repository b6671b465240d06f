"""Cutouts of ZTF science images from the archive at IPAC, in the layout that `SnadFrames` reads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import track

from astro_lightning.data.errors import BadInput
from astro_lightning.data.fetch import RemoteFile, fetch
from astro_lightning.data.tables import read_table

ARCHIVE = "https://irsa.ipac.caltech.edu/ibe/data/ztf/products/sci"
FILTERS = {1: "zg", 2: "zr", 3: "zi"}
# The archive asks its users to stay modest.
MOST_PARALLEL = 8


@dataclass(frozen=True)
class Sight:
    """One image that shows an object.

    Attributes:
        oid: Of the object: field, filter (1 digit), detector (2), quadrant (1), number (8).
        ra_deg: Right ascension of the centre.
        dec_deg: Declination of the centre.
        filefracday: When the image was taken, YYYYMMDDffffff.
    """

    oid: int
    ra_deg: float
    dec_deg: float
    filefracday: int

    def remote(self, side_px: int, archive: str = ARCHIVE) -> RemoteFile:
        """Where its cutout is."""
        field, detail = divmod(self.oid, 10**12)
        band, detector, quadrant = detail // 10**11, detail // 10**9 % 100, detail // 10**8 % 10
        if band not in FILTERS or not 1 <= detector <= 16 or not 1 <= quadrant <= 4:
            raise BadInput(f"{self.oid} is not an OID of ZTF: field, filter 1-3, detector 01-16, quadrant 1-4, number")
        day = f"{self.filefracday:014d}"
        name = f"ztf_{day}_{field:06d}_{FILTERS[band]}_c{detector:02d}_o_q{quadrant}_sciimg.fits"
        place = {"center": f"{self.ra_deg:.6f},{self.dec_deg:.6f}", "size": f"{side_px}pix", "gzip": "false"}
        return RemoteFile(f"{archive}/{day[:4]}/{day[4:8]}/{day[8:]}/{name}?{urlencode(place, safe=',')}", name)


def read_sights(file: Path) -> list[Sight]:
    """The rows of a CSV or Parquet table with the columns `oid`, `ra_deg`, `dec_deg` and `filefracday`, as in `Sight`.

    Raises:
        BadInput: The table cannot be read, lacks a column, or a value is missing or no number.
    """
    table, columns = read_table(file), []
    for name, kind in (
        ("oid", pa.int64()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("filefracday", pa.int64()),
    ):
        if name not in table.column_names:
            raise BadInput(f"{file}: missing column {name}; needed are oid, ra_deg, dec_deg and filefracday")
        try:
            column = table[name].cast(kind)
        except pa.ArrowException as error:
            raise BadInput(f"{file}: column {name} must hold numbers ({str(error).splitlines()[0]})") from error
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise BadInput(f"{file}: row {row} has no {name}; fill it in or leave the row out")
        columns.append(column.to_pylist())
    return [Sight(*row) for row in zip(*columns, strict=True)]


def fetch_cutouts(
    sights: Sequence[Sight], folder: Path, side_px: int = 28, parallel: int = 4, archive: str = ARCHIVE
) -> list[str]:
    """Download cutouts into `<folder>/<oid>/`; what is there is checked against its kept checksum and not fetched again.

    Args:
        sights: What to fetch.
        folder: Holds a folder for each object.
        side_px: Side of a cutout.
        parallel: Objects at a time; each takes one connection.
        archive: Address of the images.

    Returns:
        Why a cutout did not come, one line for each of those; call again to go on with them.

    Raises:
        BadInput: More than eight connections, or an identifier that is not ZTF's.
    """
    if not 1 <= parallel <= MOST_PARALLEL:
        raise BadInput(
            f"parallel={parallel}: between 1 and {MOST_PARALLEL} connections, or the archive may shut you out"
        )
    files: dict[int, list[RemoteFile]] = {}
    for sight in sights:
        files.setdefault(sight.oid, []).append(sight.remote(side_px, archive))

    def work(oid: int) -> list[str]:
        failed = []
        for file in files[oid]:
            try:
                fetch([file], folder / str(oid), progress=False)
            except BadInput as error:  # an image that the archive lost must not keep back those behind it
                failed.append(str(error))
        return failed

    with ThreadPoolExecutor(parallel) as pool:
        done = track(pool.map(work, files), "objects", total=len(files), console=Console(stderr=True))
        return [reason for failed in done for reason in failed]
