"""The verbs beside a run, each a file of `verbs/`, and the help. Nothing heavy is imported before it is needed."""

import importlib
import pkgutil
from collections.abc import Callable

from astro_lightning import verbs
from astro_lightning.core.conf import about, conf_folder, configs
from astro_lightning.data.errors import BadInput
from astro_lightning.data.memory import memory_suffices
from astro_lightning.typos import nearest

GROUPS = {
    "task": "what is done",
    "data": "on which survey's files",
    "model": "with which network",
    "trainer": "where it runs",
    "logger": "where metrics are kept",
    "callbacks": "progress bar, early stopping, averaged weights",
    "experiment": "a complete recipe; its numbers are in docs/results.md",
    "sweep": "how -m searches",
    "debug": "short runs that find faults",
}
EXAMPLES = """\
  python -m astro_lightning                                                 pretrain, fine-tune, test on the synthetic twin
  python -m astro_lightning task=plasticc data=mallorn trainer=cpu          on real light curves ($ASTRO_LIGHTNING_DATA)
  python -m astro_lightning task=plasticc_pretrain trainer=gpu logger=wandb pretraining alone, on a GPU, followed with W&B
  python -m astro_lightning -m optimizer.lr=1e-3,3e-4 seed=0,1,2            a grid of six runs and their table
  python -m astro_lightning mode=predict ckpt=RUN data.path=FILE out=scores.parquet   score a file with a finished run"""


def help_text() -> str:
    """What can be typed, for people."""
    lines = [
        "Astro Lightning: machine learning on light curves, spectra and alert images.",
        "",
        "Examples:",
        EXAMPLES,
        "",
        "Tasks (task=...):",
    ]
    lines += [f"  {name:<20} {about(comment)}" for name, (comment, _) in configs("task").items()]
    lines += ["", "Groups (group=choice):"]
    for group, meaning in GROUPS.items():
        lines.append(f"  {group:<12} {meaning}: {', '.join(name for name in configs(group) if name != 'none')}")
    lines += ["", "Single values (key=value; --cfg job prints all of them, the comments in conf/ explain them):"]
    for line in (conf_folder() / "config.yaml").read_text().splitlines():
        key, _, comment = line.partition("#")
        if comment and not line.startswith((" ", "#")) and ":" in key:
            lines.append(f"  {key.split(':')[0].strip():<12} {comment.strip()}")
    lines += [
        "",
        "Verbs:",
        *(f"  astro-lightning {name:<20} {(verb(name).__doc__ or '').splitlines()[0]}" for name in names()),
        "",
        "  resume=RUN_FOLDER continues a stopped run;  -m runs a sweep;  --cfg job shows the composed configuration.",
        '  Completion with Tab: eval "$(astro-lightning -sc install=bash)"',
    ]
    return "\n".join(lines)


def names() -> list[str]:
    """The verbs."""
    return [found.name for found in pkgutil.iter_modules(verbs.__path__)]


def verb(name: str) -> Callable[[list[str]], None]:
    """The function of a verb, which takes the words behind it."""
    return importlib.import_module(f"astro_lightning.verbs.{name}").main


def call(words: list[str]) -> None:
    """Call a verb.

    Raises:
        BadInput: No such verb.
    """
    name, *rest = words
    if name not in names():
        if rest and rest[0].startswith("="):
            raise BadInput(f"{' '.join(words)}: a setting has no blanks around its equals sign, {name}=VALUE")
        from astro_lightning.run import MODES

        choices = {word: f"mode={word}" for word in MODES}
        for group in ("task", "experiment"):
            choices = {word: f"{group}={word}" for word in configs(group)} | choices
        if name in choices:
            raise BadInput(f"{name!r} is no verb: type python -m astro_lightning {choices[name]}")
        raise BadInput(
            f"{name!r}{nearest(name, names())} is neither a verb ({', '.join(names())}) nor a setting (key=value); "
            "see astro-lightning --help"
        )
    with memory_suffices():
        verb(name)(rest)
