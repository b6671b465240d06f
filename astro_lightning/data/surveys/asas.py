"""ASAS training set of variable stars: 810 V-band light curves of 28 classes (Richards et al. 2012, arXiv:1204.4180)."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.curve_rows import modified
from astro_lightning.data.curve_table import curve_table
from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey
from astro_lightning.data.tables import readable

CLASSES = "asas_training_set_classes.dat"
NUMBER = re.compile(r"[-+.]*\d|nan|inf", re.IGNORECASE)
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
        ids, curves = [], []
        try:
            with tarfile.open(source) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    # Names that begin with a dot are a desktop's, no star.
                    if file is not None and re.search(r"(^|/)[^./][^/]*\.dat$", member.name):
                        ids.append(Path(member.name).stem)
                        curves.append(_observations(file.read().decode(), member.name))
        except tarfile.TarError as error:
            raise BadInput(f"{source} is no tar.gz ({str(error).splitlines()[0]}): get the file again") from error
        if not ids:
            raise BadInput(f"{source} holds no star (*.dat): get the archive again")
        label = self.class_names(pa.array([labels.get(name) for name in ids], pa.string()), str(source))
        flat = dict(zip(("mjd", "mag", "mag_err"), np.concatenate(curves).T))
        flat["mjd"] = modified(flat["mjd"])
        yield curve_table(flat, np.array([len(curve) for curve in curves]), {"id": ids, "label": label}, str(source))


def _observations(text: str, name: str) -> np.ndarray:
    """Time, magnitude and error of each line that begins with a number, shape (observations, 3)."""
    try:
        lines = [line.replace(",", " ").split()[:3] for line in text.splitlines()]
        rows = np.array([words for words in lines if words and NUMBER.match(words[0])] or np.empty((0, 3)), float)
        if rows.shape[1:] != (3,):
            raise ValueError(f"{rows.shape[1]} columns")
    except ValueError as error:
        raise BadInput(f"{name}: a line is not three numbers ({error}): get the archive again") from error
    return rows
