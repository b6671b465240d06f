"""The command line: `python -m astro_lightning task=... data=... trainer=...`, or one of the verbs. Heavy imports come late."""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@process_as_before()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a task, resume a run, or call a verb; errors of the user are one line and exit status 2."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no bullet or ellipsis ends no run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = bool(words) and words[0].isidentifier()
    resuming = not verb and any(word.startswith("resume=") for word in words)
    if resuming:
        words.sort(key=lambda word: not word.startswith("resume="))
    elif not verb:
        # Hydra's parser wants all settings in one piece; people write -m and --cfg anywhere between them.
        words = [quoted(word) for word in words]
        words.sort(key=lambda word: not word.startswith("~") and (word.startswith("-") or "=" not in word))
    sys.argv[1:] = words
    from astro_lightning.data.errors import PLACE, BadInput

    try:
        if words in (["--help"], ["-h"], ["help"]):
            from astro_lightning.cli import help_text

            print(help_text())
        elif verb:
            from astro_lightning.cli import call

            call(words)
        elif resuming:
            from astro_lightning.compose import resume

            resume(words)
        else:
            from astro_lightning.compose import hydra_main

            hydra_main()
    except BadInput as error:
        print("error:", *str(error).splitlines(), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # somebody piped the list into `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # the disk is full, a folder may not be written to
        print(f"error: {error}: {PLACE}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:  # its message says how to go on
        print("stopped", *stop.args, sep="; ", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    main()
