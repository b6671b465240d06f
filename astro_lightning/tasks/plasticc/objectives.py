"""Losses, and the small heads that belong to them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.bert import PlasticcBert
from astro_lightning.tasks.plasticc.encoder import init_weights
from astro_lightning.tasks.plasticc.masking import IGNORED
from astro_lightning.tasks.plasticc.transformer import PlasticcTransformer

DEGREES_OF_FREEDOM = 4.0  # of Student's t
Backbone = PlasticcTransformer | PlasticcBert
FAR = -1e9  # logit of what is no candidate; finite, or where none is the gradient would not be


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the masked positions; zero if there are none.

    Args:
        logits: (..., K).
        labels: (...) int64, -100 where nothing is to be predicted.
    """
    total = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def flux_nll(prediction: Tensor, features: Tensor, masked: Tensor, distribution: str = "student") -> Tensor:
    """Mean negative log-likelihood of the masked fluxes in asinh(f / s), see `flux_nll_each`; zero if there are none.

    No shape follows from values here or in `InfoNCE`: a GPU is not waited for, and a compiled network stays in one piece.
    """
    each = flux_nll_each(prediction, features, distribution)
    return torch.where(masked, each, 0.0).sum() / masked.sum().clamp(min=1)


def flux_nll_each(prediction: Tensor, features: Tensor, distribution: str) -> Tensor:
    """Negative log-likelihood (...) of each flux in asinh(f / s).

    The flux error, carried over to asinh(f / s) at the flux observed, adds to the predicted scale in quadrature: a noisy point
    pulls less. A density of the flux it is to first order in that error alone.

    Args:
        prediction: (..., 2) mean and log scale.
        features: (..., 4) of `ContinuousTokenizer`, before masking.
        distribution: `gaussian` or `student` (heavier tails).

    Raises:
        BadInput: unknown distribution.
    """
    if distribution not in ("gaussian", "student"):
        raise BadInput(f"distribution: {distribution!r} is unknown; use gaussian or student")
    target, log_err = features[..., 0], features[..., 2]
    mean, log_scale = prediction.unbind(dim=-1)
    variance = (2 * log_scale.clamp(-10, 10)).exp() + (log_err.exp() / target.cosh()).square()
    chi2 = (target - mean).square() / variance
    if distribution == "gaussian":
        return 0.5 * (chi2 + variance.log() + math.log(2 * math.pi))
    nu = DEGREES_OF_FREEDOM
    constant = math.lgamma(nu / 2) - math.lgamma((nu + 1) / 2) + 0.5 * math.log(nu * math.pi)
    return constant + 0.5 * variance.log() + (nu + 1) / 2 * torch.log1p(chi2 / nu)


def hidden_nll(backbone: Backbone, batch: Mapping[str, Tensor], distribution: str) -> Tensor:
    """Negative log-likelihood (B,) of a flux given every other observation, the mean over an object's.

    Each half of the observations, every second one, is told from the other; the mean is over both. Nothing is random, and
    an object's value does not depend on the batch. An object without observations has none (NaN).

    Args:
        backbone: A `PlasticcTransformer`.
        batch: The tensors of `ContinuousTokenizer`.
        distribution: See `flux_nll_each`.
    """
    mask, total = batch["mask"], torch.zeros(len(batch["mask"]), device=batch["mask"].device)
    for parity in (0, 1):
        hidden = mask & (torch.arange(mask.shape[1], device=mask.device) % 2 == parity)
        states, _ = backbone.encode({**batch, "masked": hidden})
        prediction = backbone.reconstruct(states).float()
        each = flux_nll_each(prediction, batch["features"], distribution)
        total = total + torch.where(hidden, each, 0.0).sum(1)
    return total / mask.sum(1)


class PairHead(nn.Module):
    """Logits (B, 2) of "both light curves are one object" from the vector (B, d) of a joined pair."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(d_model, d_model), nn.Tanh(), nn.Linear(d_model, 2))
        self.apply(init_weights)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, d) to (B, 2)."""
        return self.layers(pooled)

    def loss(self, pooled: Tensor, same: Tensor) -> Tensor:
        """Cross-entropy against same (B,) int64, 1 = one object."""
        return functional.cross_entropy(self(pooled), same)


class InfoNCE(nn.Module):
    """Symmetric contrastive loss of two views with a learned temperature (Radford 2021, arXiv:2103.00020).

    Args:
        d_model: width of the vectors.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(d_model, d_model), nn.GELU(), nn.Linear(d_model, 128))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.1)))  # to start with; it never falls below 0.01
        self.apply(init_weights)

    def forward(self, first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
        """Loss of the views (B, d) of the objects that are valid (B,) bool; the others are no negatives either."""
        a, b = (functional.normalize(self.project(view), dim=-1) for view in (first, second))
        logits = (a @ b.T / self.log_temperature.exp().clamp(min=0.01)).float()
        target = torch.where(valid, torch.arange(len(valid), device=valid.device), IGNORED)
        total = sum(
            functional.cross_entropy(way.masked_fill(~valid, FAR), target, ignore_index=IGNORED, reduction="sum")
            for way in (logits, logits.T)
        )
        return 0.5 * total / valid.sum().clamp(min=1)


class ClassificationHead(nn.Module):
    """Logits (B, K): Linear, layer norm, GELU, dropout, Linear.

    Softmax belongs to the loss, or is applied once in prediction.
    """

    def __init__(self, d_model: int, n_classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_model, 128), nn.LayerNorm(128), nn.GELU(), nn.Dropout(dropout), nn.Linear(128, n_classes)
        )
        self.apply(init_weights)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        return self.layers(pooled)


class ClassificationLoss(nn.Module):
    """Cross-entropy for unequal classes.

    Args:
        class_counts: training objects of each class.
        balance: `none`; `balanced`, weights in proportion to 1 / count with mean 1 over the training objects;
            `logit_adjusted`, which adds ln(prior) to the logits in the loss only, so that plain softmax is
            balanced (Menon 2021, arXiv:2007.07314).

    Raises:
        BadInput: unknown balance, or a class without training objects.
    """

    def __init__(self, class_counts: list[int], balance: str = "balanced") -> None:
        super().__init__()
        if balance not in ("none", "balanced", "logit_adjusted"):
            raise BadInput(f"balance: {balance!r} is unknown; use none, balanced or logit_adjusted")
        counts = torch.tensor(class_counts, dtype=torch.float32)
        if (counts < 1).any():
            raise BadInput(
                f"class_counts: class {int((counts < 1).nonzero()[0])} has no training object; leave the class out"
            )
        prior = counts / counts.sum()
        weight = 1 / (len(counts) * prior) if balance == "balanced" else torch.ones_like(prior)
        self.weight = nn.Buffer(weight, persistent=False)
        self.shift = nn.Buffer(prior.log() * (balance == "logit_adjusted"), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch of logits (B, K) and target (B,) int64."""
        # divided by B, not by the batch's own weights: else a batch of one class would undo its weight
        return (functional.cross_entropy(logits + self.shift, target, reduction="none") * self.weight[target]).mean()
