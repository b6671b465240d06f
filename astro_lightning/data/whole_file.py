"""Files that are there whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden name beside the file's place to write under, renamed at the end and gone after a failure.

    Processes that write the same file at once do no harm, nor does a kill: the name ends like no file that is looked for.

    Raises:
        OSError: The disk is full, or nothing may be written there; it names the file.
    """
    own = path.resolve()  # where a link points to, which stays a link
    temporary = own.with_name(f".{own.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        os.replace(temporary, own)
    except OSError as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
