"""The stages of the spectra task: training on the twin, then one network, k folds, or one for each survey left out."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


def spectra_stages(
    cfg: Mapping[str, Any], pretrain: bool = False, folds: int = 0, leave_out: Sequence[str] = (), members: int = 1
) -> dict[str, dict[str, Any]]:
    """Blocks of stages from `task.classify` and `task.pretrain`.

    Args:
        cfg: The composed configuration.
        pretrain: Train on the synthetic twin alone first; the networks that follow start from its weights.
        folds: 0 = one network on `data.split`; k = k networks, each tested on its fold of the objects, that score new
            files as an ensemble.
        leave_out: Surveys; one network each, trained on all others and tested on that survey. Wins over `folds`.
        members: Networks of each split, of different seeds; their predictions are averaged.

    Returns:
        Name -> block, in order.
    """
    task = cfg["task"]
    stages: dict[str, dict[str, Any]] = {}
    if pretrain:
        stages["twin"] = {**copy.deepcopy(task["pretrain"]), "predicts": False}
    chosen: list[tuple[str, dict[str, Any]]] = [(f"without_{survey}", {"leave_out": survey}) for survey in leave_out]
    chosen = chosen or [(f"fold{k}", {"fold": k, "n_folds": folds}) for k in range(folds)] or [("classify", {})]
    if members > 1:
        chosen = [(f"{name}_member{k}", {**settings, "member": k}) for name, settings in chosen for k in range(members)]
    for name, settings in chosen:
        block = copy.deepcopy(task["classify"])
        block["datamodule"] |= settings
        if members > 1:
            block["module"]["member"] = settings["member"]
        block["predicts"] = True
        if pretrain:
            block["takes"] = {"module.backbone": "twin/checkpoint"}
        stages[name] = block
    return stages
