"""One survey's table with one row per object, column by column."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import cast, check_names, identifiers

log = logging.getLogger(__name__)


class Metadata:
    """Columns under any of the names that a survey's releases gave them; what a file leaves out is unknown.

    Args:
        table: As read.
        file: Named in messages.

    Raises:
        BadInput: Two columns share a name.
    """

    def __init__(self, table: pa.Table, file: Path) -> None:
        self.table, self.file = table, file
        check_names(table.column_names, str(file))

    def _column(self, names: tuple[str, ...]) -> pa.ChunkedArray:
        found = next((name for name in names if name in self.table.column_names), None)
        return pa.chunked_array([pa.nulls(self.table.num_rows)]) if found is None else self.table[found]

    def ids(self, *names: str) -> pa.ChunkedArray:
        """Identifiers as int64 or string.

        Raises:
            BadInput: No column has any of the names, or one value is missing.
        """
        if not set(names) & set(self.table.column_names):
            found = ", ".join(self.table.column_names)
            raise BadInput(f"{self.file}: missing column {' or '.join(names)}; found {found}")
        return identifiers(self._column(names), str(self.file))

    def numbers(self, *names: str) -> np.ndarray:
        """Float64, shape (n_objects,), NaN where unknown.

        Raises:
            BadInput: The column holds text.
        """
        return cast(self._column(names), pa.float64(), " or ".join(names), str(self.file)).to_numpy()

    def inputs(self, *names: str) -> np.ndarray:
        """As `numbers`, of something that scores depend on: a warning says where the table has no such column."""
        if not set(names) & set(self.table.column_names):
            found = ", ".join(self.table.column_names)
            log.warning("%s: no column %s, unknown for all objects; found %s", self.file, " or ".join(names), found)
        return self.numbers(*names)

    def labels(self, *names: str) -> pa.ChunkedArray:
        """Class labels as text, null where unknown; numbers that are float because some are missing come out whole.

        Raises:
            BadInput: A number is not whole, or bytes are no text.
        """
        column = self._column(names)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
            column = cast(column, pa.int64(), " or ".join(names), str(self.file))
        return cast(column, pa.string(), " or ".join(names), str(self.file))
