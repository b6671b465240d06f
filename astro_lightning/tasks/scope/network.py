"""The published network: a dense branch over features and a convolutional branch over the dm-dt image."""

import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Depthwise 3 x 3 and pointwise convolution without padding, then ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1), nn.ReLU()
    )


class ScopeNetwork(nn.Module):
    """Features (batch, n_features) and dm-dt images (batch, 26, 26) to one logit per label (van Roestel et al. 2021).

    With one label it has 20,986 parameters over the 35 phenomenological features and 27,642 over the 61 ontological
    ones. With several labels the trunk is shared: one network for all tags.

    Args:
        n_features: Scaled, imputed features.
        n_labels: Labels, each with a logit of its own.
        width: Units of the first dense layer.
        head: Units before the logits; 16 as published are few for many labels.
    """

    def __init__(self, n_features: int, n_labels: int = 1, width: int = 256, head: int = 16) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            nn.Linear(n_features, width), nn.ReLU(), nn.Dropout(0.25), nn.Linear(width, 32), nn.ReLU()
        )
        self.image = nn.Sequential(
            separable(1, 16), separable(16, 16), nn.Dropout(0.25), nn.MaxPool2d(2),
            separable(16, 32), separable(32, 32), nn.Dropout(0.25), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.4), nn.Linear(64, head), nn.ReLU(), nn.Linear(head, n_labels))

    def forward(self, batch: Batch) -> Tensor:
        """Logits, shape (batch, n_labels)."""
        image = batch["dmdt"].view(-1, 1, 26, 26)
        return self.head(torch.cat([self.dense(batch["features"]), self.image(image)], 1))
