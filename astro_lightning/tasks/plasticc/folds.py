"""The stages of k-fold cross-validation of boosted trees."""

import copy
from collections.abc import Mapping
from typing import Any


def tree_stages(cfg: Mapping[str, Any], folds: int = 0) -> dict[str, dict[str, Any]]:
    """Blocks of stages from `task.trees`.

    Args:
        cfg: The composed configuration.
        folds: 0 = one model on `data.split`; k = k models, each tested on its fold of the objects, that score new files as
            an ensemble.

    Returns:
        Name -> block, in order.
    """
    if not folds:
        return {"trees": copy.deepcopy(cfg["task"]["trees"])}
    stages = {}
    for k in range(folds):
        block = copy.deepcopy(cfg["task"]["trees"])
        block["datamodule"] |= {"fold": k, "n_folds": folds}
        stages[f"fold{k}"] = {**block, "predicts": True}
    return stages
