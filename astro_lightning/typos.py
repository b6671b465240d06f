"""Words of the command line that name nothing: what was meant."""

import difflib
import re
from collections.abc import Sequence

import yaml
from hydra._internal.utils import get_args_parser

from astro_lightning.core.conf import conf_folder, configs
from astro_lightning.data.errors import BadInput


def meant(message: str) -> str:
    """Hydra's message about a word that names nothing, in the user's terms, with the nearest word that names something."""
    found = re.search(r"Could not find '(\w+)/([^']+)' Available options in '\w+': (.*?) Config search path", message)
    if found:
        group, word, choices = found[1], found[2], [name for name in found[3].split() if name != "none"]
        return f"there is no {group}={word}{nearest(word, choices)}; choose among {', '.join(choices)}"
    found = re.match(r"Ambiguous value for argument '(.*?)' 1\. ", message)
    if found:
        return f"{found[1]}: to run a sweep over several values add -m, a list is written key=[a,b]"
    found = re.match(
        r"(?:no viable alternative|mismatched input|extraneous input|token recognition).*?'(.*?)'", message
    )
    if found:
        return f"cannot read '{found[1]}': put a value with blanks, commas or braces in quotes, 'key={{a: 1, b: 2}}'"
    found = re.match(r"Could not override '((task\.)?(\w+)[\w.]*)'", message)
    if not found:
        return ""
    tasks = [yaml.safe_load(file.read_text("utf-8")) for _, file in configs("task").values()]
    known, key, outside = settings_of_groups(), found[3], found[1].removeprefix("task.")
    if found[2] and outside in known:
        return f"{found[1]}= is no setting of the task: type {outside}="
    if not found[2] and any(key in (block.get("task") or {}) for block in tasks):
        return f"{key}= is a setting of the task: type task.{key}="
    if found[1] in known:
        return f"there is no setting {found[1]} with this {found[1].partition('.')[0]}; another one has it"
    block, _, last = found[1].rpartition(".")
    if block not in known:
        return f"there is no setting {found[1]}{nearest(found[1], known)}"
    inside = sorted(
        {name[len(block) + 1 :].split(".")[0] for name in known if name.startswith(f"{block}.")} - {"defaults"}
    )
    return f"there is no setting {found[1]}{nearest(last, inside)}; {block} has {', '.join(inside)}"


def nearest(word: str, choices: Sequence[str]) -> str:
    """A question with the choice most like a word, or nothing where none is."""
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def settings_of_groups() -> list[str]:
    """Every key that a configuration sets, in dotted form, and the groups themselves."""
    groups = [folder.name for folder in conf_folder().iterdir() if folder.is_dir()]
    found = set(groups)
    files = [("", conf_folder() / "config.yaml")]
    files += [(f"{group}.", file) for group in groups for _, file in configs(group).values()]
    for prefix, file in files:
        text = file.read_text("utf-8")
        waiting = [("" if "@package _global_" in text else prefix, yaml.safe_load(text) or {})]
        while waiting:
            above, block = waiting.pop()
            for key, value in block.items():
                found.add(f"{above}{key}")
                if isinstance(value, dict):
                    waiting.append((f"{above}{key}.", value))
    return sorted(found - {"defaults"})


def check_form(words: Sequence[str]) -> None:
    """Whether every word is a setting or one of Hydra's options, and no setting is typed as elsewhere, `--task plasticc`.

    Raises:
        BadInput: One is neither.
    """
    root = yaml.safe_load((conf_folder() / "config.yaml").read_text("utf-8"))
    known, others = get_args_parser().parse_known_args(list(words))
    for word in [*others, *(word for word in known.overrides if "=" not in word and not word.startswith("~"))]:
        name, _, value = word.lstrip("-").partition("=")
        first = name.split(".")[0]
        if word.startswith("-") and (first in root or (conf_folder() / first).is_dir()):
            raise BadInput(f"{word}: settings have no dashes; type {name}={value or 'VALUE'}")
        raise BadInput(f"{word} is no setting: type key=value without blanks, and several settings one after the other")
