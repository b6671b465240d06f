"""Networks over spectra: ResNet18 in one dimension and a multi-kernel CNN, with one logit more for unknown kinds."""

import torch
from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.methods.resnet import ResNet18


class SpectraResNet(nn.Module):
    """The shared ResNet18 over the channels of a spectrum.

    Args:
        n_classes: Known classes; the network has one output more, the logit of none of them.
        in_channels: Channels of `batch["inputs"]`.
        n_features: Width of `batch["features"]`, joined before the last layer; 0 = none.
        width: Channels of the first stage; 64 is the published network of 3.85 million parameters.
        dropout: On the pooled embedding.
    """

    def __init__(
        self, n_classes: int, in_channels: int, n_features: int = 0, width: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.resnet = ResNet18(1, in_channels, n_classes + 1, width=width, extra_features=n_features, dropout=dropout)

    def embed(self, batch: Batch) -> Tensor:
        """Pooled embedding (B, 8 width)."""
        return self.resnet.embed(batch["inputs"])

    def head(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Logits (B, n_classes + 1) of embeddings and, if used, `features` (B, F)."""
        embedding, features = self.resnet.dropout(embedding), batch.get("features")
        return self.resnet.fc(embedding if features is None else torch.cat([embedding, features], 1))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_classes + 1) of `inputs` (B, C, L) and, if used, `features`."""
        return self.head(self.embed(batch), batch)


class MultiKernel(nn.Module):
    """Parallel convolutions with kernels of several lengths, as in the best single network of the biendata challenge.

    Args:
        n_classes: Known classes.
        in_channels: Channels of `batch["inputs"]`.
        n_features: Width of `batch["features"]`; 0 = none.
        kernels: Lengths of the parallel kernels, odd.
        width: Channels of each branch in the first block.
        n_blocks: Blocks; each halves the length twice and has 1.5 times the channels of the one before.
        dropout: On the pooled embedding.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int,
        n_features: int = 0,
        kernels: tuple[int, ...] = (3, 9, 27, 81),
        width: int = 12,
        n_blocks: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels, blocks = in_channels, []
        for i in range(n_blocks):
            out = int(width * 1.5**i)
            # Later blocks see a shorter axis: the longest kernels would only reach the padding.
            blocks.append(
                _Branches(channels, out, [k for k in kernels if k <= max(kernels) // 3**i or k == min(kernels)])
            )
            channels = blocks[-1].out_channels
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * channels + n_features, n_classes + 1)

    def embed(self, batch: Batch) -> Tensor:
        """Mean and maximum over wavelength of the last block."""
        x = self.blocks(batch["inputs"])
        return torch.cat([x.mean(2), x.amax(2)], 1)

    def head(self, embedding: Tensor, batch: Batch) -> Tensor:
        """Logits (B, n_classes + 1) of embeddings and, if used, `features` (B, F)."""
        embedding, features = self.dropout(embedding), batch.get("features")
        return self.fc(embedding if features is None else torch.cat([embedding, features], 1))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_classes + 1)."""
        return self.head(self.embed(batch), batch)


class _Branches(nn.Module):
    def __init__(self, in_channels: int, width: int, kernels: list[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv1d(in_channels, width, k, 2, padding=k // 2, bias=False) for k in kernels)
        self.out_channels = width * len(kernels)
        self.tail = nn.Sequential(
            nn.BatchNorm1d(self.out_channels), nn.ReLU(inplace=True), nn.MaxPool1d(3, 2, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(torch.cat([branch(x) for branch in self.branches], 1))
