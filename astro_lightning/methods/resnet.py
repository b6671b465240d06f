"""ResNet18 (He et al. 2016, arXiv:1512.03385) in one dimension for spectra and in two for image stamps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_CONVOLUTION: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
_NORM: dict[int, Callable[[int], nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
_MAX_POOL: dict[int, Callable[..., nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class BasicBlock(nn.Module):
    """Two convolutions of kernel 3 around a shortcut.

    Args:
        dimensions: 1 or 2.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, dimensions: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        conv, norm = _CONVOLUTION[dimensions], _NORM[dimensions]
        self.conv1 = conv(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = norm(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(conv(in_channels, out_channels, 1, stride, bias=False), norm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, ...) to (B, out_channels, .../stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """ResNet18 with the parameter names and, in two dimensions, the sizes of torchvision's.

    With the standard stem, 3 channels and 2 classes the image form has 11,177,538 parameters; the spectral form with
    one channel and 3 classes has 3.85 million.

    Args:
        dimensions: 1 for spectra (B, C, L), 2 for images (B, C, H, W).
        in_channels: Channels of the input (flux, mask, ...).
        n_classes: Width of the output.
        stem: ``standard`` (kernel 7, stride 2, max pool) or ``small`` (kernel 3, stride 1, no pool) for small stamps.
        width: Channels of the first stage; the other three have 2, 4 and 8 times as many.
        extra_features: Width of a feature vector that is joined to the pooled embedding before the last layer.
        dropout: Probability of dropping an element of the embedding.
    """

    def __init__(
        self,
        dimensions: int,
        in_channels: int,
        n_classes: int,
        stem: str = "standard",
        width: int = 64,
        extra_features: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if dimensions not in _CONVOLUTION:
            raise ValueError(f"dimensions={dimensions}: ResNet18 works in 1 or 2 dimensions")
        if stem not in ("standard", "small"):
            raise ValueError(f"stem={stem!r}: choose 'standard' or 'small'")
        standard = stem == "standard"
        conv = _CONVOLUTION[dimensions]
        self.conv1 = conv(
            in_channels, width, 7 if standard else 3, 2 if standard else 1, padding=3 if standard else 1, bias=False
        )
        self.bn1 = _NORM[dimensions](width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = _MAX_POOL[dimensions](3, 2, padding=1) if standard else nn.Identity()
        channels = width
        for stage in range(4):
            out, stride = width * 2**stage, 1 if stage == 0 else 2
            blocks = nn.Sequential(BasicBlock(dimensions, channels, out, stride), BasicBlock(dimensions, out, out, 1))
            self.add_module(f"layer{stage + 1}", blocks)
            channels = out
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels + extra_features, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, x: Tensor) -> Tensor:
        """Global average of the last stage: (B, C, L) or (B, C, H, W) -> (B, 8 width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        return x.flatten(2).mean(-1)

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """Logits (B, n_classes) of inputs (B, C, L) or (B, C, H, W) and, where used, features (B, extra_features)."""
        embedding = self.dropout(self.embed(x))
        return self.fc(embedding if features is None else torch.cat([embedding, features], 1))
