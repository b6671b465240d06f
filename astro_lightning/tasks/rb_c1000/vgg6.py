"""braai's light network (Duev et al. 2019, arXiv:1907.11259)."""

from torch import Tensor, nn


class Vgg6(nn.Module):
    """Four convolutions and two dense layers; 312,081 parameters at 63 pixels with one output.

    Args:
        n_classes: Width of the output.
        side_px: Side of a stamp.
    """

    def __init__(self, n_classes: int = 1, side_px: int = 63) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Dropout(0.25),
        )  # fmt: skip
        side = (((side_px - 4) // 2) - 4) // 4
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(32 * side * side, 256), nn.ReLU(), nn.Dropout(0.5))
        self.output = nn.Linear(256, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """(n, 3, side, side) -> (n, 256)."""
        return self.dense(self.convolutions(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, n_classes)."""
        return self.output(self.embed(x))
