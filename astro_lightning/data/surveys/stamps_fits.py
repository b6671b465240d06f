"""The stamp column of a FITS binary table, memory-mapped."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from astro_lightning.data.errors import BadInput

COLUMN = "star_stamp"


def open_stamp_table(path: Path) -> np.ndarray:
    """The column `star_stamp` (n, height, width, 3) of the first table that has it, big-endian and memory-mapped.

    Raises:
        BadInput: Not FITS, or no such column with that shape.
    """
    try:
        with fits.open(path, memmap=True) as units:
            for unit in units:
                if isinstance(unit, fits.BinTableHDU) and COLUMN in unit.columns.names:
                    stamps = unit.data.field(COLUMN)
                    if stamps.ndim == 4 and stamps.shape[3] == 3:
                        return stamps
                    raise BadInput(f"{path.name}: {COLUMN} has shape {stamps.shape}: (n, height, width, 3) is wanted")
    except (OSError, TypeError) as error:
        raise BadInput(f"{path.name} is not a readable FITS table: {error}") from error
    raise BadInput(f"{path.name} has no table with a column {COLUMN}")
