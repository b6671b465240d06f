"""A file that is there whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(place: Path) -> Iterator[Path]:
    """A name to write to, beside the file's place; at the end it gets the file's name, and after an error it is removed.

    Processes that write the same at once do no harm. The suffix is kept, since NumPy would add its own.

    Raises:
        OSError: The disk is full, or nothing may be written there; it names the file.
    """
    temporary = place.with_name(f".{uuid.uuid4().hex[:8]}.{place.name}")
    try:
        yield temporary
        os.replace(temporary, place)
    except OSError as error:
        raise OSError(f"{place}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
