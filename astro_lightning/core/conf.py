"""Where the configuration is, and where plug-ins keep theirs; importing this must stay cheap."""

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from astro_lightning.data.errors import BadInput

GROUP = "astro_lightning.conf"


def conf_folder() -> Path:
    """The folder `conf`: inside an installed wheel's package, else beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if (inside / "config.yaml").exists() else package.parent / "conf"


def plugin_folders() -> dict[str, Path]:
    """Name -> configuration folder of each installed plug-in.

    A plug-in is a package with an entry point of the group `astro_lightning.conf` whose value is the package that holds
    its `task/*.yaml`, `data/*.yaml` and so on.

    Raises:
        BadInput: One cannot be imported.
    """
    from importlib.util import find_spec

    found = {}
    for point in entry_points(group=GROUP):
        try:
            spec = find_spec(point.value)
        except Exception as error:  # its __init__.py runs, and may raise anything
            raise BadInput(f"the plug-in {point.name} cannot be imported ({error}): repair or uninstall it") from error
        if spec and spec.submodule_search_locations:
            found[point.name] = Path(next(iter(spec.submodule_search_locations)))
    return found


def configs(group: str) -> dict[str, tuple[str, Path]]:
    """Name -> (first comment line, file) of every configuration of a group, plug-ins included."""
    found: dict[str, tuple[str, Path]] = {}
    for folder in [conf_folder(), *plugin_folders().values()]:
        for file in sorted((folder / group).glob("*.yaml")):
            lines = [
                line.strip("# ").strip() for line in file.read_text("utf-8").splitlines()[:3] if line.startswith("#")
            ]
            lines = [line for line in lines if not line.startswith("@package")]
            found.setdefault(file.stem, (lines[0] if lines else "", file))
    return found


def about(comment: str) -> str:
    """What a file of conf/ is for; the second part of its comment, after a run of blanks, is how to type it."""
    return comment.split("   ")[0]


def data_block(name: str) -> dict[str, Any]:
    """The block of a data set as its file and the files it builds on say, uninterpolated.

    Raises:
        BadInput: No such data set.
    """
    found = configs("data")
    if name not in found:
        raise BadInput(f"data set {name!r} is unknown; these are there: {', '.join(found)}")
    own = yaml.safe_load(found[name][1].read_text("utf-8")) or {}
    merged: dict[str, Any] = {}
    for parent in own.get("defaults", []):
        if parent != "_self_":
            merged |= data_block(str(parent))
    return merged | own


def cache_folder() -> Path:
    """Where verbs keep what they made or fetched."""
    return expanded(os.environ.get("ASTRO_LIGHTNING_CACHE", "~/.cache/astro_lightning"))


def expanded(cache: str) -> Path:
    """The cache's folder, which is below the home folder if nobody chose another.

    Raises:
        BadInput: The user has no home folder, as in some containers.
    """
    try:
        return Path(cache).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{cache}: this user has no home folder; set ASTRO_LIGHTNING_CACHE=FOLDER") from error
