"""Optimisers and learning-rate schedules from plain numbers."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from astro_lightning.data.errors import BadInput

DEFAULTS: dict[str, Any] = {
    "name": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup_fraction": 0.05,
    "step_epochs": 40,
    "factor": 0.1,
    "patience": 5,
}


def settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen settings over the defaults; None means the default.

    Raises:
        BadInput: A key is not one of the known ones.
    """
    unknown = set(chosen) - set(DEFAULTS)
    if unknown:
        raise BadInput(f"optimizer.{sorted(unknown)[0]} is not a setting; these are: {', '.join(DEFAULTS)}")
    return {**DEFAULTS, **{key: value for key, value in chosen.items() if value is not None}}


def make_optimizer(groups: Iterable[dict[str, Any]], chosen: Mapping[str, Any]) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD over parameter groups; a group's `scale` multiplies the learning rate (layer-wise decay)."""
    chosen = settings(chosen)
    kinds = {
        "adamw": lambda g: torch.optim.AdamW(g, lr=chosen["lr"], weight_decay=chosen["weight_decay"]),
        "adam": lambda g: torch.optim.Adam(g, lr=chosen["lr"], weight_decay=chosen["weight_decay"]),
        "sgd": lambda g: torch.optim.SGD(g, lr=chosen["lr"], weight_decay=chosen["weight_decay"], momentum=0.9),
    }
    if chosen["name"] not in kinds:
        raise BadInput(f"optimizer.name={chosen['name']} is unknown; choose {', '.join(kinds)}")
    scaled = [
        {**{k: v for k, v in g.items() if k != "scale"}, "lr": chosen["lr"] * g.get("scale", 1.0)} for g in groups
    ]
    return kinds[chosen["name"]](scaled)


def make_schedule(
    optimizer: torch.optim.Optimizer, chosen: Mapping[str, Any], total_steps: int, steps_per_epoch: int
) -> LambdaLR:
    """A schedule stepped at every optimizer step, so that its state in a checkpoint is never one step behind.

    `cosine` warms up linearly and decays to 0 over `total_steps`; `step` multiplies by `factor` every `step_epochs`;
    `constant` and `plateau` only warm up (the plateau's factor is applied by the module after validation).
    """
    chosen = settings(chosen)
    warmup = max(1, round(chosen["warmup_fraction"] * total_steps)) if chosen["warmup_fraction"] else 0

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if chosen["schedule"] == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total_steps - warmup))))
        if chosen["schedule"] == "step":
            return chosen["factor"] ** (step // max(1, chosen["step_epochs"] * steps_per_epoch))
        return 1.0

    if chosen["schedule"] not in ("cosine", "step", "constant", "plateau"):
        raise BadInput(f"optimizer.schedule={chosen['schedule']} is unknown; choose cosine, step, constant or plateau")
    return LambdaLR(optimizer, factor)
