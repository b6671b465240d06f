"""The stages of boosted trees and a network on hand features, on one split or in k-fold cross-validation."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


def tabular_stages(
    cfg: Mapping[str, Any], models: Sequence[str] = ("trees", "network"), folds: int = 0, **before: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Blocks of stages; all predict, and what they say of one object is averaged.

    Args:
        cfg: The composed configuration; `task.<model>` is the block of a model, `task.features` what their data modules share.
        models: Names of such blocks.
        folds: 0 = one of each model on `data.split`; k = k of each, tested on their fold of the objects, that score new
            files together.
        **before: Name -> block of further stages, which come first; the last of them takes part in the average.

    Returns:
        Name -> block, in order.
    """
    stages = {name: dict(block) for name, block in before.items() if block is not None}
    if stages:
        list(stages.values())[-1]["predicts"] = True
    for fold in range(folds) if folds else [None]:
        for model in models:
            block = copy.deepcopy(cfg["task"][model])
            chosen = {} if fold is None else {"fold": fold, "n_folds": folds}
            block["datamodule"] = {**cfg["task"]["features"], **block.get("datamodule", {}), **chosen}
            stages[model if fold is None else f"{model}_fold{fold}"] = {**block, "predicts": True}
    return stages
