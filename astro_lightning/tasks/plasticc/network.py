"""A backbone with what each stage puts on it."""

from typing import Any

import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.tasks.plasticc.objectives import (
    Backbone,
    ClassificationHead,
    InfoNCE,
    PairHead,
    flux_nll,
    masked_cross_entropy,
)


class Pretrainer(nn.Module):
    """Backbone and the losses of pretraining.

    Args:
        backbone: `PlasticcTransformer` or `PlasticcBert`.
        same_source: `infonce` (two views, contrastive) or `two_way` (a pair is of one object or not).
        flux_loss: `student` or `gaussian`, of the continuous tokens.
    """

    def __init__(self, backbone: Backbone, same_source: str, flux_loss: str) -> None:
        super().__init__()
        self.backbone, self.flux_loss = backbone, flux_loss
        width = backbone.d_model
        self.contrast = InfoNCE(width) if same_source == "infonce" else None
        # Two separate views are joined by concatenation; a pair in one sequence has one vector already.
        self.pair = PairHead(width) if same_source == "two_way" else None
        self.join = nn.Linear(2 * width, width) if same_source == "two_way" else None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses `masked` and, where the batch holds pairs or views, `same_source`."""
        states, pooled = self.backbone.encode(batch)
        prediction = self.backbone.reconstruct(states)
        if "labels" in batch:
            losses = {"masked": masked_cross_entropy(prediction, batch["labels"])}
        else:
            losses = {"masked": flux_nll(prediction, batch["features"], batch["masked"], self.flux_loss)}
        if "same" in batch and self.pair is not None:
            losses["same_source"] = self.pair.loss(pooled, batch["same"])
        elif "views" in batch:
            first, second = (self.backbone.embed(view) for view in batch["views"])
            losses["same_source"] = self._compare(first, second, batch["valid"])
        return losses

    def _compare(self, first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
        if self.contrast is not None:
            return self.contrast(first, second, valid)
        assert self.pair is not None and self.join is not None
        first, second = first[valid], second[valid]
        if len(first) < 2:
            return first.sum() * 0.0
        pairs = torch.cat([torch.cat([first, second], -1), torch.cat([first, second.roll(1, 0)], -1)])
        same = torch.arange(2, device=pairs.device).flip(0).repeat_interleave(len(first))
        return self.pair.loss(self.join(pairs), same)


class Classifier(nn.Module):
    """Backbone and a classification head."""

    def __init__(self, backbone: Backbone, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = ClassificationHead(backbone.d_model, n_classes)

    def forward(self, batch: Any) -> Tensor:
        """Logits (B, n_classes)."""
        return self.head(self.backbone.embed(batch))
