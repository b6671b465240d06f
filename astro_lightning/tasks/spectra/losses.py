"""Losses over classes of unequal size."""

import torch
from torch import Tensor, nn

from astro_lightning.core.task import class_weights
from astro_lightning.data.errors import BadInput

KINDS = ("cross_entropy", "weighted", "soft_f1")


def soft_macro_f1(logits: Tensor, target: Tensor) -> Tensor:
    """-log of the differentiable macro-F1, sum over classes of 2 sum(p r) / (C sum(p + r)): (B, C), (B,) -> scalar."""
    probability = logits.softmax(1)
    truth = nn.functional.one_hot(target, logits.shape[1]).to(probability.dtype)
    f1 = 2 * (probability * truth).sum(0) / (probability + truth).sum(0).clamp_min(1e-6)
    return -torch.log(f1.mean().clamp_min(1e-6))


class SpectraLoss(nn.Module):
    """Loss of class logits plus that of the known-or-unknown logit, where the network has one.

    Args:
        counts: Training spectra of each class.
        kind: `cross_entropy`, `weighted` (by inverse class size) or `soft_f1`.
        smoothing: Label smoothing of the cross-entropies.
        unknown_weight: Weight of the binary loss on the last logit.
    """

    def __init__(
        self, counts: list[int], kind: str = "cross_entropy", smoothing: float = 0.02, unknown_weight: float = 0.5
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise BadInput(f"loss={kind!r} is unknown: choose one of {', '.join(KINDS)}")
        self.kind, self.smoothing, self.unknown_weight = kind, smoothing, unknown_weight
        self.weights = nn.Buffer(class_weights(counts), persistent=False) if kind == "weighted" else None

    def forward(self, logits: Tensor, unknown: Tensor, target: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            logits: (B, C).
            unknown: (B,) logit of being none of the classes.
            target: (B,) class number, C for unknown kinds, -1 without a label.
        """
        n_classes = logits.shape[1]
        known = (target >= 0) & (target < n_classes)
        loss = nn.functional.binary_cross_entropy_with_logits(
            unknown[target >= 0], (target[target >= 0] == n_classes).float()
        )
        loss = self.unknown_weight * loss if (target >= 0).any() else logits.sum() * 0
        if not known.any():
            return loss
        if self.kind == "soft_f1":
            return loss + soft_macro_f1(logits[known], target[known])
        return loss + nn.functional.cross_entropy(
            logits[known], target[known], self.weights, label_smoothing=self.smoothing
        )
