"""Single values of a configuration that must be numbers in a range, or several: said before anything is read or built."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from astro_lightning.data.errors import BadInput

INF = float("inf")

# Key -> (whole number, least, most); null is allowed where the configuration has null.
NUMBERS: dict[str, tuple[bool, float, float]] = {
    "seed": (True, 0, 2**32 - 1),
    "batch_size": (True, 1, INF),
    "workers": (True, 0, 1024),
    "data.memory_gib": (False, 1e-6, INF),
    "data.split_seed": (True, 0, 2**32 - 1),
    "data.simulation.n_objects": (True, 1, INF),
    "data.simulation.seed": (True, 0, 2**32 - 1),
    "optimizer.lr": (False, 0, INF),
    "optimizer.weight_decay": (False, 0, INF),
    "optimizer.warmup_fraction": (False, 0, 1),
    "optimizer.step_epochs": (True, 1, INF),
    "optimizer.factor": (False, 0, INF),
    "optimizer.patience": (True, 0, INF),
    "task.calibrator.alpha": (False, 0, 1),
    "task.calibrator.fdr": (False, 0, 1),
    "trainer.num_nodes": (True, 1, INF),
    "trainer.max_epochs": (True, 1, INF),
    "trainer.max_steps": (True, 1, INF),
    "trainer.gradient_clip_val": (False, 0, INF),
    "trainer.accumulate_grad_batches": (True, 1, INF),
    "trainer.limit_train_batches": (False, 0, INF),
    "trainer.limit_val_batches": (False, 0, INF),
    "trainer.check_val_every_n_epoch": (True, 1, INF),
    "trainer.log_every_n_steps": (True, 0, INF),
}
# To the Trainer -1 is no end; 0 would leave nothing to score with.
ENDLESS = ("trainer.max_epochs", "trainer.max_steps")
# Keys that hold several values, and of which kind they are.
SEVERAL: dict[str, type] = {"data.split": dict, "data.simulation": dict, "data.classes": list, "data.unknown": list}
NEEDED = ("optimizer", "data.split", "task.stages")  # null is no choice

# Kind of a value -> how it is called; true and false are whole numbers to Python, so they come first.
KINDS: dict[Any, str] = {
    bool: "true or false", int | float: "a number", list: "[several, values]", dict: "{name: value}"
}  # fmt: skip
# Blocks of which a run reads every key, and the groups that may be empty.
WHOLE, EMPTY = ("optimizer", "logger", "callbacks", "trainer", "paths"), ("model", "debug", "experiment", "sweep")
FREE = ("trainer.devices",)  # a number, a list or `auto`: see `ranks.devices_wanted`


def check_values(cfg: Mapping[str, Any]) -> None:
    """Whether the values of `NUMBERS`, a stage's own included, are numbers in their range, and those of `SEVERAL` several.

    Raises:
        BadInput: One is not; the message names the key, the value and the range.
    """
    for key in NEEDED:
        block, _, name = key.rpartition(".")
        inside = _value(cfg, block) if block else cfg
        if inside and name in inside and inside[name] is None:
            raise BadInput(f"{key}=null: this is needed; leave it as it is, or change its parts")
    stages = (_value(cfg, "task.stages") or {}).items()
    for prefix, block in [("", cfg), *((f"task.stages.{name}.", stage) for name, stage in stages)]:
        for key, (whole, least, most) in NUMBERS.items():
            value = _value(block, key)
            number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            endless = key in ENDLESS and value == -1
            if value is not None and not (number and (endless or least <= value <= most) and abs(value) < INF):
                kind = "a whole number" if whole else "a number"
                end = (f" to {most:g}" if most < INF else " on") + (", or -1 (no end)" if key in ENDLESS else "")
                raise BadInput(f"{prefix}{key}={value}: give {kind} from {least:g}{end}")
    for key, several in SEVERAL.items():
        value = _value(cfg, key)
        if value is not None and not isinstance(value, several):
            raise BadInput(f"{key}={value}: give " + ("[several, values]" if several is list else "{name: value}"))


def check_kinds(cfg: Mapping[str, Any], usual: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Whether what somebody set is of the kind that stands there usually: a number for a number, a list for a list.

    Args:
        cfg: The composed configuration.
        usual: The same without what somebody set.
        keys: What they set. Null fits everywhere, and anything fits where null or text stands, or in `FREE`.

    Raises:
        BadInput: A value is of another kind; the message names the key, the value and the usual one.
    """
    for key in keys:
        value, default = _value(cfg, key), _value(usual, key)
        kind = _kind(default)
        if kind and value is not None and key not in FREE and _kind(value) != kind:
            raise BadInput(f"{key}={value}: give {kind}, as {json.dumps(default)[:60]} is by default")


def check_left_out(keys: Iterable[str]) -> None:
    """Whether a run can do without the keys that somebody took out with `~`.

    Raises:
        BadInput: It reads one of them.
    """
    for key in keys:
        root, _, inside = key.removeprefix("~").partition(".")
        if key.startswith("~") and (root in WHOLE or not inside) and root not in EMPTY:
            raise BadInput(f"{key}: a run needs this; leave {key} out (null, where there is one, is the default)")


def check_plain(value: Any, name: str) -> None:
    """Whether a checkpoint can hold a value and load it without running code.

    Raises:
        BadInput: Something in it is neither a number, text, true, false or null nor a list or dict of these.
    """
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in inside:
        check_plain(part, f"{name}[{key!r}]")
    if type(value) not in (dict, list, tuple, bool, int, float, str, type(None)):
        raise BadInput(
            f"{name} is {type(value).__name__}: a checkpoint takes plain numbers, text, lists and dicts alone"
        )


def _kind(value: Any) -> str | None:
    return next((name for kinds, name in KINDS.items() if isinstance(value, kinds)), None)


def _value(cfg: Any, key: str) -> Any:
    for part in key.split("."):
        cfg = cfg.get(part) if isinstance(cfg, Mapping) else None
    return cfg
