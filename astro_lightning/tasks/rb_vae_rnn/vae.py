"""Variational autoencoder of 28 x 28 frames (architecture of Semenikhin et al. 2024)."""

import itertools
import math

import torch
from torch import Tensor, nn

SIDE_PX = 28
ENCODER_WIDTHS = (32, 64, 128, 256)
DECODER_WIDTHS = (512, 256, 128, 64, 32)


class Vae(nn.Module):
    """Encoder to mean and log-variance, decoder back to a frame.

    Args:
        latent_dims: 36 or 78 in the published work.
    """

    def __init__(self, latent_dims: int = 36) -> None:
        super().__init__()
        self.latent_dims = latent_dims
        layers: list[nn.Module] = []
        channels = 1
        for width in ENCODER_WIDTHS:
            layers += [
                nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(),
            ]
            channels = width
        self.encoder = nn.Sequential(
            *layers,
            nn.Conv2d(channels, 512, 1),
            nn.BatchNorm2d(512),
            nn.LeakyReLU(),
            nn.Flatten(),
            nn.Linear(2048, 2 * latent_dims),
        )
        up: list[nn.Module] = []
        for a, b in itertools.pairwise(DECODER_WIDTHS):
            up += [nn.ConvTranspose2d(a, b, 3, 2, padding=1, output_padding=1), nn.BatchNorm2d(b), nn.LeakyReLU()]
        self.enter = nn.Linear(latent_dims, DECODER_WIDTHS[0])
        self.decoder = nn.Sequential(
            *up,
            nn.ConvTranspose2d(32, 32, 3, 2, padding=1, output_padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(),
            nn.Conv2d(32, 1, 7, padding=1), nn.ReLU(),
        )  # fmt: skip

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (n, latent_dims), of frames (n, 28, 28) between 0 and 1."""
        mu, logvar = self.encoder(frames[:, None]).chunk(2, dim=1)
        return mu, logvar.clamp(-12, 8)

    def decode(self, z: Tensor) -> Tensor:
        """Frames (n, 28, 28) of latent vectors (n, latent_dims)."""
        return self.decoder(self.enter(z)[:, :, None, None])[:, 0]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance; the latent vector is drawn while training."""
        mu, logvar = self.encode(frames)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.decode(z), mu, logvar


def log_cosh(difference: Tensor) -> Tensor:
    """Log cosh(x) without overflow."""
    return difference + nn.functional.softplus(-2 * difference) - math.log(2)


def kl_per_dim(mu: Tensor, logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the unit normal in nats, mean over frames, (latent_dims,)."""
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).mean(0)


def vae_loss(
    reconstruction: Tensor, frames: Tensor, mask: Tensor, mu: Tensor, logvar: Tensor, beta: float, free_nats: float
) -> tuple[Tensor, Tensor]:
    """Reconstruction and divergence terms.

    Args:
        reconstruction: (n, 28, 28).
        frames: (n, 28, 28), 0 where missing.
        mask: (n, 28, 28), 1 where there was a pixel.
        mu: (n, latent_dims).
        logvar: (n, latent_dims).
        beta: Weight of the divergence.
        free_nats: Divergence that each dimension has for free (Kingma et al. 2016, arXiv:1606.04934): it keeps dimensions
            from dying.

    Returns:
        Mean log-cosh over true pixels, and the weighted divergence.
    """
    error = (log_cosh(reconstruction - frames) * mask).sum() / mask.sum().clamp(min=1)
    return error, beta * kl_per_dim(mu, logvar).clamp(min=free_nats).sum()
