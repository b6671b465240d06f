"""What is said when a GPU or the machine has not enough memory."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from astro_lightning.data.errors import BadInput

# PyTorch's words for a GPU, and for the processor, where it raises no error of their own.
SHORT = re.compile("out of memory|can't allocate memory", re.IGNORECASE)


@contextmanager
def memory_suffices() -> Iterator[None]:
    """Memory that does not suffice is one line with the remedy, whoever asked for it.

    Raises:
        BadInput: It does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or SHORT.search(str(error))):
            raise
        reason = (str(error).splitlines() or ["all is in use"])[0]
        raise BadInput(
            f"the memory does not suffice ({reason}): start anew with a smaller batch_size= or fewer workers="
        ) from error
