"""braai's light network (Duev et al. 2019, arXiv:1907.11259)."""

from torch import Tensor, nn


class Vgg6(nn.Module):
    """Four convolutions and two dense layers; 312,081 parameters at 63 pixels with one output.

    Args:
        n_classes: Width of the output.
        side_px: Side of a stamp.
        in_channels: Images of a stamp.
        widths: Channels of the two pairs of convolutions.
        hidden: Units of the dense layer.
    """

    def __init__(
        self,
        n_classes: int = 1,
        side_px: int = 63,
        in_channels: int = 3,
        widths: tuple[int, int] = (16, 32),
        hidden: int = 256,
    ) -> None:
        super().__init__()
        first, second = widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(in_channels, first, 3), nn.ReLU(), nn.Conv2d(first, first, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Conv2d(first, second, 3), nn.ReLU(), nn.Conv2d(second, second, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Dropout(0.25),
        )  # fmt: skip
        side = (((side_px - 4) // 2) - 4) // 4
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(second * side * side, hidden), nn.ReLU(), nn.Dropout(0.5))
        self.output = nn.Linear(hidden, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """(n, in_channels, side, side) -> (n, hidden)."""
        return self.dense(self.convolutions(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, n_classes)."""
        return self.output(self.embed(x))
