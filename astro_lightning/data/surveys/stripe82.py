"""RR Lyrae stars of SDSS Stripe 82 in five bands, with types and periods (Sesar et al. 2010, arXiv:0910.4611)."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.curve_table import curve_table
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import cast
from astro_lightning.data.surveys.banded_stars import BandedStars
from astro_lightning.data.surveys.dat_archive import stars
from astro_lightning.data.tables import read_table

CURVES, PERIODS = "table1.tar.gz", "periods.csv"
COLUMNS = 17  # right ascension, declination, then time, magnitude and error in each band


class Stripe82(BandedStars):
    """`table1.tar.gz` (a file `<star>.dat` with a row per epoch), `periods.csv` beside it where types are known."""

    layout = f"{CURVES} (with {PERIODS}, where types are known)"
    all_bands = "ugriz"
    default_classes: ClassVar[dict[str, str | None]] = {"ab": "RRab", "c": "RRc"}

    def find(self, path: Path) -> list[Path]:
        """The archive."""
        archive = path if path.is_file() else path / CURVES
        return [archive] if archive.is_file() else []

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """All stars at once: the whole set is a few megabytes."""
        names, epochs = zip(*stars(source, COLUMNS))
        columns = [2 + 3 * self.all_bands.index(band) for band in self.bands]
        curves = [rows[:, at : at + 3] for rows in epochs for at in columns]
        star = np.repeat([_number(name, source) for name in names], len(self.bands))
        known = self._known(source.with_name(PERIODS), star)
        own = {"id": [f"{name}_{band}" for name in names for band in self.bands], "group": pa.array(star)}
        value = dict(zip(("mjd", "mag", "mag_err"), np.concatenate(curves).T))
        yield curve_table(value, np.array([len(curve) for curve in curves]), own | known, str(source))

    def _known(self, file: Path, star: np.ndarray) -> dict[str, pa.Array]:
        if not file.is_file():
            return {}
        table = read_table(file)
        if missing := {"Num", "Type", "Per"} - set(table.column_names):
            raise BadInput(
                f"{file}: missing column {', '.join(sorted(missing))}; found {', '.join(table.column_names)}"
            )
        row = pc.index_in(pa.array(star), value_set=cast(table["Num"], pa.int64(), "Num", str(file)))
        label = self.class_names(table["Type"].cast(pa.string()), str(file))
        return {"label": label.take(row), "period": cast(table["Per"], pa.float64(), "Per", str(file)).take(row)}


def _number(name: str, source: Path) -> int:
    if not name.isdecimal():
        raise BadInput(f"{source}: {name}.dat is of no star, which have numbers: remove it")
    return int(name)
