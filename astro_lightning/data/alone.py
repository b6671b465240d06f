"""One process at a time at a place that several could write to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from astro_lightning.data.errors import BadInput


@contextmanager
def alone(lock: Path, place: Path) -> Iterator[None]:
    """Hold a lock file while at work on a file or folder; a killed process holds it no longer.

    Raises:
        BadInput: Another process is at work there.
        OSError: The lock file cannot be written.
    """
    lock.touch()  # says plainly what keeps one from writing here
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout as error:
        raise BadInput(f"another process is writing {place}: wait for it, or give another name") from error
    try:
        yield
    finally:
        held.release()
        lock.unlink(missing_ok=True)
