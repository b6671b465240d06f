"""From a composed configuration to plain containers, and from its blocks to objects."""

import inspect
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from astro_lightning.data.errors import BadInput


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration resolved once, in plain containers."""
    resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    if resolved.get("local"):
        raise BadInput(
            "conf/local/default.yaml has no effect as it stands: its first line must be `# @package _global_`"
        )
    return {str(key): value for key, value in resolved.items() if key not in ("hydra", "local")}


def build(block: dict[str, Any], **arguments: Any) -> Any:
    """Call a `_target_` block with these further arguments; nested blocks stay plain dicts.

    Raises:
        BadInput: The target does not exist or does not take one of the keys; or a key is of a wrong type, or the target wrong
            itself: the message then names the line.
    """
    try:
        # The arguments are none of Hydra's: it would wrap each number of them, of which scalers hold ten thousands.
        return instantiate({**block, "_recursive_": False, "_convert_": "all", "_partial_": True})(**arguments)
    except (TypeError, ImportError, AttributeError, HydraException) as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        outside = (__file__, str(Path(hydra.__file__).parent))
        inside = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(outside)]
        own = inside and not isinstance(error, HydraException)
        line = f" ({Path(inside[-1].filename).name}, line {inside[-1].lineno})" if own else ""
        raise BadInput(f"{block.get('_target_')}: {cause}{line}".replace("\n", " ")) from error


def class_of(target: str, base: type) -> type:
    """The class of a dotted name that a checkpoint or a configuration gives; anything but a subclass of `base` is refused."""
    try:
        found = get_class(target)
    except Exception as error:
        raise BadInput(f"{target} cannot be imported ({error}): install the package that holds it") from error
    if not issubclass(found, base):
        raise BadInput(f"{target} is not a {base.__name__}: refusing to run it")
    return found


def reader_of(block: dict[str, Any], memory_gib: float) -> Any:
    """The reader of a survey's files; a checkpoint, which may be a stranger's, names it too.

    Args:
        block: Its `_target_` block.
        memory_gib: Most memory used while reading.

    Raises:
        BadInput: The target is no class with a method `read(path, part)`, or does not take one of the keys.
    """
    target = str(block.get("_target_"))
    read = getattr(class_of(target, object), "read", None)
    # Classes of open files have a method of this name too, and would empty whichever file they are given.
    if not inspect.isfunction(read) or "part" not in inspect.signature(read).parameters:
        raise BadInput(f"{target} has no method read(path, part): refusing to run it")
    return build(block, memory_gib=memory_gib)
