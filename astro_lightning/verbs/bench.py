"""How good and how fast, one process a row, into docs/results.md: bench [TASK ...] [speed] [seeds=0,1]."""

import importlib.util
import sys

from astro_lightning.core.conf import conf_folder
from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """How good and how fast, one process a row, into docs/results.md: bench [TASK ...] [speed] [seeds=0,1].

    Raises:
        BadInput: An installed wheel, which has no benchmarks, or a word that is not known.
    """
    root = conf_folder().parent
    if not (root / "benchmarks" / "__main__.py").exists():
        raise BadInput("bench needs a checkout of the repository: the benchmarks are not part of the wheel")
    if importlib.util.find_spec("benchmarks") is None:
        sys.path.insert(0, str(root))
    from benchmarks.__main__ import main as measure

    measure(words)
