"""The stages once for each fold of the sources: every object is tested once, and all folds score new files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Block = dict[str, Any]


def fold_stages(
    cfg: Mapping[str, Any],
    folds: int,
    periods: Block | None = None,
    classify: Block | None = None,
    forest: Block | None = None,
) -> dict[str, dict[str, Any]]:
    """Blocks of stages of a k-fold cross-validation.

    Args:
        cfg: The composed configuration.
        folds: How many; each takes its turn as the test.
        periods: Block of the stage that learns to choose periods, so that periods too are learned outside the tested fold.
        classify: Block of a classifier.
        forest: Block of another, averaged with the first where both are given.

    Returns:
        Name -> block, in order.
    """
    stages: dict[str, dict[str, Any]] = {}
    for fold in range(folds):
        for name, block in (("periods", periods), ("classify", classify), ("forest", forest)):
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
