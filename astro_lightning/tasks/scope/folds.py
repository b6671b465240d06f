"""The stages once for each fold of the sources: every object is tested once, and all folds score new files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Block = dict[str, Any]


def fold_stages(cfg: Mapping[str, Any], folds: int, **blocks: Block | None) -> dict[str, dict[str, Any]]:
    """Blocks of stages of a k-fold cross-validation.

    Args:
        cfg: The composed configuration.
        folds: How many; each takes its turn as the test.
        blocks: Name -> block of a stage that is repeated, or null; of all but `periods` the predictions are averaged.

    Returns:
        Name -> block, in order.
    """
    stages: dict[str, dict[str, Any]] = {}
    for fold in range(folds):
        for name, block in blocks.items():
            if block is None:
                continue
            own = copy.deepcopy(block)
            own["datamodule"] |= {"fold": fold, "n_folds": folds}
            own["predicts"] = name != "periods"
            own["takes"] = {
                key: what.replace("periods/", f"periods_fold{fold}/") for key, what in (own.get("takes") or {}).items()
            }
            stages[f"{name}_fold{fold}"] = own
    return stages
