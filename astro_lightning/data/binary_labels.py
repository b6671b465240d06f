"""Labels of two classes, in the ways that tables write them."""

import logging
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

log = logging.getLogger(__name__)


def binary_labels(column: pa.Array, yes: str, no: str, where: str) -> pa.Array:
    """Class names of a column of 1 and 0 (as integers, floats, booleans or text) or of the class names themselves.

    Args:
        column: Of any type, shape (n_objects,); null, NaN and empty text are not labelled.
        yes: Class that 1 means.
        no: Class that 0 means.
        where: File and column, for the log.

    Returns:
        Strings, shape (n_objects,), null = not labelled. A value of any other kind is null too: what is scored needs no label.
        Such values are counted in a warning.
    """
    if pa.types.is_nested(column.type):
        log.warning("%s: %d labels are %s: taken as not labelled", where, len(column), column.type)
        return pa.nulls(len(column), pa.string())
    coded = column.dictionary_encode()
    values = coded.dictionary.to_pylist()
    classes = [_class(value, yes, no) for value in values]
    strange = [c is None and v not in (None, "") and v == v for c, v in zip(classes, values, strict=True)]
    if any(strange):
        n = pc.sum(pa.array(strange).take(coded.indices)).as_py()
        first = values[strange.index(True)]
        log.warning(
            "%s: %d labels are neither 1 (%s) nor 0 (%s), the first is %r: taken as not labelled",
            where,
            n,
            yes,
            no,
            first,
        )
    return pa.array(classes, pa.string()).take(coded.indices)


def _class(value: Any, yes: str, no: str) -> str | None:
    word = str(value).strip().lower()
    if word in (yes, no):
        return word
    try:
        return {1.0: yes, 0.0: no}.get(float(value))
    except (TypeError, ValueError):
        return None
