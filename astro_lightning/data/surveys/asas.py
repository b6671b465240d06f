"""ASAS training set of variable stars: 810 V-band light curves of 28 classes (Richards et al. 2012, arXiv:1204.4180)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.curve_rows import modified
from astro_lightning.data.curve_table import curve_table
from astro_lightning.data.survey import Survey
from astro_lightning.data.surveys.dat_archive import stars
from astro_lightning.data.tables import readable

CLASSES = "asas_training_set_classes.dat"
CURVES = "asas_training_set.tar.gz"


class Asas(Survey[Path]):
    """`asas_training_set.tar.gz` (one `.dat` file of time, magnitude, error for each star), its table of classes beside it.

    Without that table, or for a star that it does not name, there is no label. Times are Julian days less 2,400,000.5 where the
    files give full Julian days, else as they stand.
    """

    layout = f"{CURVES} (with {CLASSES}, where labels are known)"

    def find(self, path: Path) -> list[Path]:
        """The archive."""
        archive = path if path.is_file() else path / CURVES
        return [archive] if archive.is_file() else []

    def chunks(self, source: Path) -> Iterator[pa.Table]:
        """All stars at once: the whole set is a few megabytes."""
        labels, table = {}, source.with_name(CLASSES)
        if table.is_file():
            with readable(table):
                rows = (line.partition(",") for line in table.read_text().split()[1:])
                labels = {name: label for name, _, label in rows if label}
        ids, curves = zip(*stars(source, 3))
        label = self.class_names(pa.array([labels.get(name) for name in ids], pa.string()), str(source))
        flat = dict(zip(("mjd", "mag", "mag_err"), np.concatenate(curves).T))
        flat["mjd"] = modified(flat["mjd"])
        yield curve_table(flat, np.array([len(curve) for curve in curves]), {"id": ids, "label": label}, str(source))
