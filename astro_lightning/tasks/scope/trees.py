"""Boosted trees: one booster over the types and one for each tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import xgboost as xgb
from torch import Tensor, nn

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.task import class_weights
from astro_lightning.methods.boosted_trees import BoostedTrees
from astro_lightning.tasks.scope import pictures
from astro_lightning.tasks.scope.boosting import BoostingModule
from astro_lightning.tasks.scope.features import FEATURES
from astro_lightning.tasks.scope.module import ScopeModule


class ScopeTreesModule(BoostingModule, ScopeModule):
    """Boosters over all features at the chosen period, quantised once; `model` has XGBoost's parameters.

    Args:
        balance: A type weighs as its count to the power of minus this; 0 = every object weighs the same.
        arguments: Of `BoostingModule` and `ScopeModule`.
    """

    def __init__(self, *, balance: float = 0.25, **arguments: Any) -> None:
        super().__init__(balance=balance, **arguments)

    def make_classifier(self) -> nn.Module:
        """Boosters without trees: the types' first, then one for each tag."""
        sizes = [len(self.info["classes"]), *([2] * len(self.info["tags"]))]
        return nn.ModuleList(BoostedTrees(n, self.parameters_of_trees) for n in sizes)

    def boosters(self) -> list[BoostedTrees]:
        """Of the types, then of the tags."""
        return list(self.network["classifier"])

    def classify(self, features: Tensor, batch: Batch) -> Tensor:
        """Logits of the types and log odds of the tags."""
        types, *tags = self.boosters()
        return torch.cat([types(features), *(trees(features)[:, 1:] for trees in tags)], 1)

    def on_fit_start(self) -> None:
        """Take over the chooser; gather features, types and tags."""
        super().on_fit_start()
        batches = list(self.trainer.datamodule.loader("train"))  # type: ignore[attr-defined]
        features = torch.cat([self.features(batch) for batch in batches]).numpy()
        target = torch.cat([batch["target"] for batch in batches]).numpy()
        tags = torch.cat([batch["tags"] for batch in batches]).numpy()
        known = target >= 0
        weight = class_weights(self.info["counts"], self.hparams["balance"]).numpy()[target[known]]
        self.matrices = [xgb.QuantileDMatrix(features[known], target[known], weight=weight, max_bin=self.bins)]
        for tag in tags.T:
            known = ~np.isnan(tag)
            self.matrices.append(xgb.QuantileDMatrix(features[known], tag[known], max_bin=self.bins))

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """Also the picture and the table of what the trees look at: `importance` is the ranking over labels."""
        handed = super().hand_over(best, datamodule, folder)
        labels = ["type", *self.info["tags"]]
        gain = {
            label: {FEATURES[i]: value for i, value in trees.gain().items()}
            for label, trees in zip(labels, self.boosters())
        }
        pictures.write_picture(
            folder, "importances", pictures.importances(gain), "What the trees split by, all labels."
        )
        path = folder / "feature_ranking.csv"
        path.write_text(pictures.ranking(gain))
        return handed | {"ranking": path}
