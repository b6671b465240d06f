"""Parquet files that have a survey's columns."""

import logging
from collections.abc import Sequence
from pathlib import Path

from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import visible
from astro_lightning.data.tables import column_names

log = logging.getLogger(__name__)


def parquet_files(path: Path, columns: Sequence[tuple[str, ...]], beside: str = "") -> list[Path]:
    """Parquet files below a folder that have all these columns, by name; the others are named in the log.

    Args:
        path: File or folder.
        columns: Needed ones, each under any of its names.
        beside: Name of a file that is read with another one, never alone.

    Raises:
        BadInput: There are Parquet files and none has the columns; the message names the first file and what it lacks.
    """
    files = [file for file in visible(path, "**/*.parquet") if file.suffix == ".parquet" and file.name != beside]
    found, lacking = [], []
    for file in files:
        names = set(column_names(file))
        missing = next((any_of for any_of in columns if not names & set(any_of)), None)
        if missing is None:
            found.append(file)
        else:
            lacking.append(f"{file}: missing column {' or '.join(missing)}")
    if lacking and not found:
        raise BadInput(f"{lacking[0]}; found {', '.join(column_names(files[0]))}")
    for line in lacking:
        log.warning("%s: the file is passed over", line)
    return found
