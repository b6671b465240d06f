"""The process in which a command runs."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def process_as_before() -> Iterator[None]:
    """Give back what a command takes of its process, so that a notebook may call the next one.

    A run's name is kept in the environment for its ranks and workers, where the next run would find it and its folder;
    Hydra's handlers would write what the notebook logs into the log of a run that is over.
    """
    root, words, name = logging.getLogger(), sys.argv[1:], os.environ.get("ASTRO_LIGHTNING_RUN")
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        sys.argv[1:] = words
        if name is None:
            os.environ.pop("ASTRO_LIGHTNING_RUN", None)
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
