"""Networks over batches with `stamp` (n, 3, side, side) or `features` (n, n_features)."""

from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.resnet import ResNet18
from astro_lightning.tasks.rb_c1000.vgg6 import Vgg6


class StampNetwork(nn.Module):
    """ResNet18 or VGG6 over stamps.

    Args:
        n_classes: Width of the output.
        backbone: `resnet18` or `vgg6`.
        side_px: Side of a preprocessed stamp.
        stem: Of ResNet18: `standard` or `small`.
        width: Channels of ResNet18's first stage.
        dropout: Before ResNet18's last layer.
    """

    def __init__(
        self,
        n_classes: int,
        backbone: str = "resnet18",
        side_px: int = 63,
        stem: str = "standard",
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if backbone == "resnet18":
            self.backbone: nn.Module = ResNet18(2, 3, n_classes, stem=stem, width=width, dropout=dropout)
        elif backbone == "vgg6":
            self.backbone = Vgg6(n_classes, side_px)
        else:
            raise BadInput(f"model.backbone={backbone} is unknown; choose resnet18 or vgg6")

    def forward(self, batch: Batch) -> Tensor:
        """Logits (n, n_classes)."""
        return self.backbone(batch["stamp"])

    def embed(self, batch: Batch) -> Tensor:
        """The vector before the last layer."""
        return self.backbone.embed(batch["stamp"])  # type: ignore[operator]


class FeatureNetwork(nn.Module):
    """A perceptron over features on the unit normal scale, with noise on its inputs while training.

    Args:
        n_classes: Width of the output.
        n_features: Width of the input.
        hidden: Units of each of two layers.
        dropout: After each layer.
    """

    def __init__(self, n_classes: int, n_features: int, hidden: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(hidden, n_classes)

    def embed(self, batch: Batch) -> Tensor:
        """(n, hidden)."""
        return self.layers(batch["features"])

    def forward(self, batch: Batch) -> Tensor:
        """Logits (n, n_classes)."""
        return self.output(self.embed(batch))
