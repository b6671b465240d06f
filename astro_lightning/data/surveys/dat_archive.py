"""Archives that hold a text file of observations for each star: `<star>.dat`, a line an epoch."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astro_lightning.data.errors import BadInput

NUMBER = re.compile(r"[-+.]*\d|nan|inf", re.IGNORECASE)


def stars(archive: Path, columns: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name of each star, and the first numbers of its lines that begin with one, shape (epochs, columns).

    Raises:
        BadInput: The file is no tar.gz or holds no star, or a line has fewer numbers.
    """
    found = False
    try:
        with tarfile.open(archive) as members:
            for member in members:
                file = members.extractfile(member) if member.isfile() else None
                # Names that begin with a dot are a desktop's, no star.
                if file is not None and re.search(r"(^|/)[^./][^/]*\.dat$", member.name):
                    found = True
                    yield Path(member.name).stem, _numbers(file.read().decode(), member.name, columns)
    except tarfile.TarError as error:
        raise BadInput(f"{archive} is no tar.gz ({str(error).splitlines()[0]}): get the file again") from error
    if not found:
        raise BadInput(f"{archive} holds no star (*.dat): get the archive again")


def _numbers(text: str, name: str, columns: int) -> np.ndarray:
    try:
        lines = [line.replace(",", " ").split()[:columns] for line in text.splitlines()]
        rows = np.array([words for words in lines if words and NUMBER.match(words[0])] or np.empty((0, columns)), float)
        if rows.shape[1:] != (columns,):
            raise ValueError(f"{rows.shape[1]} columns")
    except ValueError as error:
        raise BadInput(f"{name}: a line is not {columns} numbers ({error}): get the archive again") from error
    return rows
