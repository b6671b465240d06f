"""The command line: `python -m astro_lightning task=... data=... trainer=...`, or one of the verbs. Heavy imports come late."""

import io
import os
import sys
from collections.abc import Sequence

from astro_lightning.process import process_as_before
from astro_lightning.words import ordered


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
        words = ordered(words)
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
