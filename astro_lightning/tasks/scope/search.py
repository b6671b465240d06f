"""The published staged search over XGBoost's parameters: some at a time, five folds, logarithmic loss."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost as xgb

from astro_lightning.data.splits import folds_by_group

log = logging.getLogger(__name__)

FOLDS = 5
SEED = 42
PATIENCE = 10
STAGES: tuple[dict[str, tuple[float, ...]], ...] = (
    {"max_depth": (3, 5, 7), "min_child_weight": (1, 3, 5)},
    {"subsample": (0.6, 0.8, 1.0), "colsample_bytree": (0.6, 0.8, 1.0)},
    {"eta": (0.3, 0.2, 0.1, 0.05)},
)
# Steps of the refinement around the best values of the stages, and the bounds they stay in.
STEPS = {
    "max_depth": (1, 2, 12),
    "min_child_weight": (1, 0, 20),
    "subsample": (0.1, 0.3, 1.0),
    "colsample_bytree": (0.1, 0.2, 1.0),
}


def staged_search(
    matrix: xgb.DMatrix, groups: np.ndarray, parameters: Mapping[str, Any], rounds: int
) -> tuple[dict[str, Any], int]:
    """Parameters and number of rounds with the least logarithmic loss over five folds by source.

    Stages as published: depth x child weight, then the two samples, then the rate; then one step up and down of each.
    The loss stops the rounds, not the area under the ROC curve, by which rare labels stop at none.

    Args:
        matrix: Training rows with labels, of a matrix that can be sliced.
        groups: Source of each row.
        parameters: Where the search starts; `objective` among them.
        rounds: Most rounds.

    Returns:
        The parameters, and the best number of rounds.
    """
    label = matrix.get_label()
    fold = folds_by_group(groups, label, FOLDS, SEED)
    parts = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(FOLDS)]
    metric = "mlogloss" if "num_class" in parameters else "logloss"
    tried: dict[tuple, tuple[float, int]] = {}

    def loss(values: Mapping[str, Any]) -> tuple[float, int]:
        key = tuple(sorted(values.items()))
        if key not in tried:
            history = xgb.cv(
                dict(values) | {"eval_metric": metric}, matrix, rounds, folds=parts, early_stopping_rounds=PATIENCE,
                as_pandas=False, seed=SEED,
            )  # fmt: skip
            curve = np.asarray(history[f"test-{metric}-mean"])
            tried[key] = (float(curve.min()), int(curve.argmin()) + 1)
        return tried[key]

    best = dict(parameters)
    for stage in STAGES:
        trials = [best | dict(zip(stage, values)) for values in itertools.product(*stage.values())]
        best = min([best, *trials], key=lambda values: loss(values)[0])
    for name, (step, low, high) in STEPS.items():
        around = [best | {name: min(max(round(best.get(name, 1) + sign * step, 3), low), high)} for sign in (-1, 1)]
        best = min([best, *around], key=lambda values: loss(values)[0])
    found, count = loss(best)
    log.info("%d settings tried, loss %.5f after %d rounds: %s", len(tried), found, count, best)
    return best, count
