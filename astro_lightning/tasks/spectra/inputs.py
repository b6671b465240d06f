"""From flux and inverse variance to what the network sees."""

import numpy as np
import torch
from torch import Tensor

from astro_lightning.data.surveys.spectra_grid import N_PIXELS, START_A, STEP_A

CONTINUUM_HALF_WIDTH = 60  # bins: about 10% in wavelength, wider than the core of a broad line
# Some pipelines give single pixels absurd weights.
LARGEST_WEIGHT = 3.0


class Rebin:
    """Average of neighbouring pixels within wider bins, even in wavelength or in its logarithm.

    With logarithmic bins redshift is a translation, which convolutions do not care about.

    Args:
        n_bins: Number of bins.
        log: Even steps in log wavelength.
    """

    def __init__(self, n_bins: int = 1300, log: bool = True) -> None:
        low, high = START_A - STEP_A / 2, START_A + STEP_A * (N_PIXELS - 0.5)
        edges = np.geomspace(low, high, n_bins + 1) if log else np.linspace(low, high, n_bins + 1)
        pixel = np.clip((edges - low) / STEP_A, 0, N_PIXELS)
        taps = int(np.ceil(np.diff(pixel).max())) + 1
        first = np.floor(pixel[:-1]).astype(int)
        index = first[:, None] + np.arange(taps)
        overlap = np.minimum(pixel[1:, None], index + 1) - np.maximum(pixel[:-1, None], index)
        self.overlap = torch.tensor(np.clip(overlap, 0, 1).T, dtype=torch.float32)  # (taps, n_bins)
        self.index = torch.tensor(np.minimum(index, N_PIXELS - 1).T)
        self.wavelength_a = np.sqrt(edges[1:] * edges[:-1])

    def sum(self, values: Tensor) -> Tensor:
        """Integral over each bin, in pixels: (B, 2600) -> (B, n_bins)."""
        pixels, total = values.t().contiguous(), torch.zeros((), device=values.device)
        for index, overlap in zip(self.index.to(values.device), self.overlap.to(values.device), strict=True):
            total = total + pixels.index_select(0, index).mul_(overlap[:, None])
        return total.t().contiguous()

    def __call__(self, flux: Tensor, ivar: Tensor) -> tuple[Tensor, Tensor]:
        """Average weighted by inverse variance.

        Args:
            flux: (B, 2600); any value where `ivar` is 0.
            ivar: (B, 2600), 0 = no data.

        Returns:
            Flux (B, n_bins), 0 where a bin holds too few data, and the covered share of each bin (B, n_bins).
        """
        good = (ivar > 0) & torch.isfinite(flux)
        count = good.sum(1, keepdim=True).clamp_min(1)
        filled_ivar = torch.where(good, ivar, 0.0)
        # Harmonic and arithmetic means differ by orders where weights are absurd; the square root tames them enough.
        typical = ((filled_ivar.sqrt().sum(1, keepdim=True) / count) ** 2).clamp_min(1e-30)
        weight = torch.where(good, (filled_ivar / typical).clamp(1e-3, LARGEST_WEIGHT), 0.0)
        filled = torch.where(good, flux, 0.0)
        covered = self.sum(good.float()) / self.overlap.sum(0).to(flux.device)
        usable = covered > 0.25
        mean = self.sum(filled * weight) / self.sum(weight).clamp_min(1e-9)
        return torch.where(usable, mean, 0.0), torch.where(usable, covered, 0.0)


def _running_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean in a window that narrows at the ends: (B, N) -> (B, N)."""
    n = values.shape[1]
    index = torch.arange(n, device=values.device)
    low, high = (index - CONTINUUM_HALF_WIDTH).clamp_min(0), (index + CONTINUUM_HALF_WIDTH + 1).clamp_max(n)
    total = [torch.nn.functional.pad(x.cumsum(1), (1, 0)) for x in (values * weight, weight)]
    signal, norm = (t[:, high] - t[:, low] for t in total)
    return signal / norm.clamp_min(0.5)


def network_input(flux: Tensor, ivar: Tensor, rebin: Rebin) -> Tensor:
    """Four channels: compressed level, lines relative to the continuum, mask and position.

    The position channel is the only way for a network with global pooling to know where on the grid a pattern lies,
    which is what tells a star from a nearby galaxy.

    Args:
        flux: (B, 2600) in any unit; NaN or anything where `ivar` is 0.
        ivar: (B, 2600), 0 = no data.
        rebin: Bins of the network's grid.

    Returns:
        (B, 4, n_bins).
    """
    binned, covered = rebin(flux, ivar)
    mask = (covered > 0).float()
    count = mask.sum(1, keepdim=True).clamp_min(1)
    level = (binned.abs() * mask).sum(1, keepdim=True) / count
    clipped = torch.minimum(torch.maximum(binned, -8 * level), 8 * level)
    rms = ((clipped**2).sum(1, keepdim=True) / count).sqrt().clamp_min(1e-20)
    x = binned / rms
    continuum = _running_mean(_running_mean(x.clamp(-5, 5), mask), mask)
    contrast = (x - continuum) / continuum.abs().clamp_min(0.15)
    position = torch.linspace(-1, 1, x.shape[1], device=x.device).expand_as(x)
    return torch.stack([torch.asinh(x) * mask, torch.asinh(2 * contrast) * mask, covered, position], 1)
