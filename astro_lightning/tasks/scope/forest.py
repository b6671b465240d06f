"""Extremely randomised trees over the types; a tag is its share of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.core.task import class_weights
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.extra_trees import ExtraTrees
from astro_lightning.methods.gradient_free import GradientFreeModule
from astro_lightning.tasks.scope.module import ScopeModule
from astro_lightning.tasks.scope.timescales import timescales

SMALLEST = 1e-4


class ScopeForestModule(GradientFreeModule, ScopeModule):
    """A forest grown once at the start of training; its epoch only validates. `model` has the arguments of `ExtraTrees`.

    It sees the features and, beside them, `timescales`.

    Args:
        balance: A type weighs as its count to the power of minus this.
        types: Whether the types are predicted as well; they are learned in any case.
        arguments: Of `ScopeModule`.
    """

    def __init__(self, *, balance: float = 0.25, types: bool = True, **arguments: Any) -> None:
        super().__init__(balance=balance, types=types, **arguments)
        self.n_types = len(self.info["classes"])
        if not self.n_types:
            raise BadInput("a forest learns types: give data that has them, or choose another module")

    def make_classifier(self) -> nn.Module:
        """The forest without trees."""
        return ExtraTrees(self.n_types, **self.model_settings)

    def classify(self, features: Tensor, batch: Batch) -> Tensor:
        """Logarithms of the types' shares, and log odds of the tags."""
        types = self.network["classifier"](torch.cat([features, timescales(batch)], 1))
        tags = (types @ self.share).clamp(SMALLEST, 1 - SMALLEST)
        return torch.cat([types.clamp_min(SMALLEST).log(), tags.logit()], 1)

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """Without `prob_<type>` where types are not asked for."""
        columns = super().columns(batch)
        left_out = [] if self.hparams["types"] else [f"prob_{name}" for name in self.info["classes"]]
        return {name: values for name, values in columns.items() if name not in left_out}

    def on_fit_start(self) -> None:
        """Take over the chooser; grow the forest."""
        super().on_fit_start()
        batches = list(self.datamodule.loader("train"))
        scales = torch.cat([timescales(batch) for batch in batches])
        features = torch.cat([self.features_of(batches).cpu(), scales], 1).numpy()
        target = torch.cat([batch["target"] for batch in batches]).numpy()
        known = target >= 0
        weight = class_weights(self.info["counts"], self.hparams["balance"]).numpy()[target[known]]
        self.part("classifier", ExtraTrees).fit(np.ascontiguousarray(features[known]), target[known], weight)
