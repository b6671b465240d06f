"""The words of a command, as Hydra's parser can read them."""

import re
from collections.abc import Sequence
from pathlib import Path

PATH = re.compile(r"(out|ckpt|data\.(path|root)|paths\.\w+|hydra\.(run|sweep)\.dir)=(?=[^'\"])")
LIKE_A_NUMBER = re.compile(r"[+-]?[\d._]+(e[+-]?\d+)?|true|false|nan|[+-]?inf", re.IGNORECASE)


def quoted(word: str) -> str:
    """A path in quotes, where it exists, is like a number, or holds accents, parentheses or an equals sign.

    Hydra's grammar would stumble at them, and read a folder 2019_01_10 as a number.
    """
    key = PATH.match(word)
    if key is None:
        return word
    path = word[key.end() :]
    try:
        exists = path != "null" and Path(path).expanduser().exists()
    except OSError:  # a name that is too long, a folder that may not be looked into: said where it is used
        exists = False
    plain = re.fullmatch(r"[\w./:@%+ $,{}\[\]-]*", path, re.ASCII) and not LIKE_A_NUMBER.fullmatch(path)
    if not exists and plain:
        return word
    return key[0] + "'" + word[key.end() :].replace("'", r"\'") + "'"


def ordered(words: Sequence[str]) -> list[str]:
    """Hydra's parser wants all settings in one piece; people write -m and --cfg anywhere between them. Paths are `quoted`."""
    return sorted(
        map(quoted, words), key=lambda word: not word.startswith("~") and (word.startswith("-") or "=" not in word)
    )
