"""EROS-2 variable stars in two bands, of four types, with periods (Tisserand et al. 2007, arXiv:astro-ph/0607207)."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.curve_table import curve_table
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import cast
from astro_lightning.data.metadata import Metadata
from astro_lightning.data.survey import visible
from astro_lightning.data.surveys.banded_stars import BandedStars
from astro_lightning.data.tables import column_names, read_table

LISTS = {"mjd": "time_points", "mag": "light_points", "mag_err": "error_points"}
CURVES = "_varlength_features"
IDS = ("", "Unnamed: 0")  # of tables that pandas wrote with their index


class Eros2(BandedStars):
    """`<name>_varlength_features.csv` (or .csv.gz; a row per star, lists as text), `<name>.csv` beside it where types are known.

    A period is that of the file divided by its `div_period`.
    """

    layout = f"*{CURVES}.csv or .csv.gz (with the table of stars beside each, where types are known)"
    all_bands = "BR"
    default_classes: ClassVar[dict[str, str | None]] = {"1": "EB", "2": "Cepheid", "3": "RR_Lyrae", "4": "Mira"}

    def find(self, path: Path) -> list[Path]:
        """The file itself, or the folder's files of curves."""
        return [path] if path.is_file() else visible(path, f"*{CURVES}.csv*")

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """Records of one file, read whole."""
        wanted = {band: {name: f"{column}_{band.lower()}" for name, column in LISTS.items()} for band in self.bands}
        if missing := sorted({c for columns in wanted.values() for c in columns.values()} - set(column_names(source))):
            raise BadInput(f"{source}: missing column {', '.join(missing)}; found {', '.join(column_names(source))}")
        table = read_table(source)
        star = Metadata(table, source).ids(*IDS).cast(pa.string())
        known = self._known(source.with_name(f"{source.name.partition('.')[0].removesuffix(CURVES)}.csv"), star)
        for band, columns in wanted.items():
            lists = {name: _numbers(table[column], column, str(source)) for name, column in columns.items()}
            lengths = lists["mjd"][1]
            for name, (_, length) in lists.items():
                if (length != lengths).any():
                    row = int(np.argmax(length != lengths))
                    raise BadInput(f"{source}, row {row}: {columns[name]} and {columns['mjd']} differ in length")
            own = {"id": pc.binary_join_element_wise(star, band, "_"), "group": star} | known
            yield curve_table({name: values for name, (values, _) in lists.items()}, lengths, own, str(source))

    def _known(self, file: Path, star: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
        if not file.is_file():
            return {}
        stars = read_table(file)
        missing = {"period", "div_period", "type"} - set(stars.column_names)
        if missing and not self.scoring:  # a score needs none of them
            raise BadInput(
                f"{file}: missing column {', '.join(sorted(missing))}; found {', '.join(stars.column_names)}"
            )
        table = Metadata(stars, file)
        row = pc.index_in(star, value_set=table.ids(*IDS).cast(pa.string()))
        period = pa.array(table.numbers("period") / table.numbers("div_period"))
        return {"label": self.class_names(table.labels("type"), str(file)).take(row), "period": period.take(row)}


def _numbers(column: pa.ChunkedArray, name: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of lists written as text, such as [1.5, 2.5], end to end, and how many each has."""
    text = pc.utf8_trim(pc.fill_null(column.cast(pa.string()), ""), " []")
    lists = pc.split_pattern(text, ",")
    lengths = pc.if_else(pc.equal(text, ""), 0, pc.list_value_length(lists)).to_numpy()
    flat = pc.utf8_trim_whitespace(pc.list_flatten(lists.filter(pc.not_equal(text, ""))))
    return cast(flat, pa.float64(), name, where).to_numpy(), lengths
