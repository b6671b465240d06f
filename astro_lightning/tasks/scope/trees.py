"""Boosted trees: one booster over the types and one for each tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import xgboost as xgb
from torch import Tensor, nn

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.task import class_weights
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.boosted_trees import BoostedTrees
from astro_lightning.report.style import save_picture
from astro_lightning.tasks.scope import pictures
from astro_lightning.tasks.scope.boosting import BoostingModule
from astro_lightning.tasks.scope.features import FEATURES
from astro_lightning.tasks.scope.module import ScopeModule
from astro_lightning.tasks.scope.search import staged_search


class ScopeTreesModule(BoostingModule, ScopeModule):
    """Boosters over all features at the chosen period, quantised once; `model` has XGBoost's parameters.

    Args:
        balance: A type weighs as its count to the power of minus this; 0 = every object weighs the same.
        search: `staged` looks for each booster's parameters by five folds of the training objects (`search.py`).
        arguments: Of `BoostingModule` and `ScopeModule`.
    """

    def __init__(self, *, balance: float = 0.25, search: str = "none", **arguments: Any) -> None:
        if search not in ("none", "staged"):
            raise BadInput(f"search={search} is unknown; choose none or staged")
        super().__init__(balance=balance, search=search, **arguments)

    def make_classifier(self) -> nn.Module:
        """Boosters without trees: the types' first, then one for each tag."""
        sizes = [self.n_types] * bool(self.n_types) + [2] * len(self.info["tags"])
        return nn.ModuleList(BoostedTrees(n, self.model_settings) for n in sizes)

    def boosters(self) -> list[BoostedTrees]:
        """Of the types, then of the tags."""
        return [part for part in self.network["classifier"].modules() if isinstance(part, BoostedTrees)]

    def classify(self, features: Tensor, batch: Batch) -> Tensor:
        """Logits of the types and log odds of the tags."""
        of_types = 1 if self.n_types else 0
        logits = [trees(features)[:, int(i >= of_types) :] for i, trees in enumerate(self.boosters())]
        return torch.cat(logits, 1)

    def on_fit_start(self) -> None:
        """Take over the chooser; gather features, types and tags."""
        super().on_fit_start()
        data = self.datamodule
        batches = list(data.loader("train"))
        data.repeat_batches(batches[:1])
        features = self.features_of(batches).cpu().numpy()
        target = torch.cat([batch["target"] for batch in batches]).numpy()
        tags = torch.cat([batch["tags"] for batch in batches]).numpy()
        groups = np.asarray(data.records.groups)[torch.cat([batch["row"] for batch in batches]).numpy()]
        labels, weights = [], []
        if self.n_types:
            labels.append(np.where(target >= 0, target, np.nan).astype(np.float32))
            weights.append(class_weights(self.info["counts"], self.hparams["balance"]).numpy()[target])
        labels += list(tags.T)
        weights += [np.where(tag == 1, more, 1.0) for tag, more in zip(tags.T, self.positive_weight.cpu().numpy())]
        self.matrices = []
        for trees, label, weight in zip(self.boosters(), labels, weights):
            rows = ~np.isnan(label)
            if self.hparams["search"] == "staged":
                plain = xgb.DMatrix(features[rows], label[rows], weight=weight[rows])
                most = self.hparams["rounds_per_epoch"] * (self.trainer.max_epochs or 1)
                trees.xgboost_parameters, _ = staged_search(plain, groups[rows], trees.xgboost_parameters, most)
            self.matrices.append(
                xgb.QuantileDMatrix(features[rows], label[rows], weight=weight[rows], max_bin=self.bins)
            )

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """Also a picture and tables of what the trees look at: `importances.csv` by label, `ranking` over the labels."""
        handed, module = super().hand_over(best, datamodule, folder), restore(best).module
        assert isinstance(module, ScopeTreesModule)
        labels = ["type"] * bool(self.n_types) + self.info["tags"]
        names = self.info.get("columns", FEATURES)
        gain = {
            label: {names[i]: value for i, value in trees.gain().items()}
            for label, trees in zip(labels, module.boosters())
        }
        save_picture(folder, "importances", pictures.importances(gain), "What the trees split by: all labels and each.")
        (folder / "importances.csv").write_text(pictures.importance_table(gain))
        path = folder / "feature_ranking.csv"
        path.write_text(pictures.ranking(gain))
        return handed | {"ranking": path}
