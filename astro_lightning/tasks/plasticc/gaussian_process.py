"""Gaussian processes in time and wavelength, one for each light curve, solved for a whole batch at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from astro_lightning.tasks.plasticc.light_curves import LightCurves

# Elements of a batch of kernel matrices: 8 MB of float64 stays near the processor.
BATCH_ELEMENTS = 1_000_000
SYSTEMATIC = 0.02
WAVELENGTH_SCALE_NM = 600.0
AMPLITUDES = (0.2, 0.6)  # prior standard deviations in units of the curve's largest significant flux


@dataclass
class FittedProcess:
    """Posteriors of B light curves padded to L observations.

    Attributes:
        rows: (B,) numpy, which light curves these are.
        time: (B, L) float64 days since each curve's first observation.
        wavelength: (B, L) float64 in units of the wavelength scale.
        time_scale: (B,) days, the best of the grid.
        amplitude: (B,) prior standard deviation, unit of flux.
        cholesky: (B, L, L) factor of the covariance.
        weights: (B, L) covariance^-1 flux, 0 at padding.
        mask: (B, L) true = an observation.
        log_likelihood: (B, T) best over amplitudes at each time scale, less the likelihood of zero flux.
    """

    rows: np.ndarray
    time: Tensor
    wavelength: Tensor
    time_scale: Tensor
    amplitude: Tensor
    cholesky: Tensor
    weights: Tensor
    mask: Tensor
    log_likelihood: Tensor

    def mean(self, time: Tensor, wavelength_nm: Tensor) -> Tensor:
        """Posterior mean flux (B, M) at time (B, M), days since the first observation, and wavelength (B, M)."""
        return torch.einsum("bml,bl->bm", self._cross(time, wavelength_nm), self.weights)

    def mean_and_std(self, time: Tensor, wavelength_nm: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation (B, M) at time (B, M) and wavelength (B, M)."""
        cross = self._cross(time, wavelength_nm)
        half = torch.linalg.solve_triangular(self.cholesky, cross.transpose(1, 2), upper=False)
        variance = self.amplitude[:, None] ** 2 - (half**2).sum(1)
        return torch.einsum("bml,bl->bm", cross, self.weights), variance.clamp(min=0).sqrt()

    def _cross(self, time: Tensor, wavelength_nm: Tensor) -> Tensor:
        lag = (time[:, :, None] - self.time[:, None]).abs_() / self.time_scale[:, None, None]
        step = (wavelength_nm / WAVELENGTH_SCALE_NM)[:, :, None] - self.wavelength[:, None]
        prior = matern(lag) * matern(step.abs_()) * self.amplitude[:, None, None] ** 2
        return prior * self.mask[:, None]


def matern(distance: Tensor) -> Tensor:
    """Matern kernel of smoothness 3/2."""
    scaled = distance * 3**0.5
    return (1 + scaled) * torch.exp(-scaled)


def fit_processes(
    curves: LightCurves, wavelength_nm: np.ndarray, time_scales: Sequence[float]
) -> Iterator[FittedProcess]:
    """Fit light curves in batches of similar length (the kernel of Boone 2019, arXiv:1907.04690).

    Time scale and amplitude are the most likely of a grid: a few factorisations of small matrices cost less than an
    optimiser's steps, and the likelihoods along the grid are features themselves.

    Args:
        curves: N light curves, any flux unit; curves without observations are left out.
        wavelength_nm: (n_bands,) effective wavelengths.
        time_scales: Days.
    """
    lengths = curves.lengths
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        # The longest of a batch comes last: shrink until its square fits.
        stop = min(len(order), start + max(1, int(BATCH_ELEMENTS // lengths[order[start]] ** 2)))
        while stop - start > 1 and (stop - start) * lengths[order[stop - 1]] ** 2 > BATCH_ELEMENTS:
            stop = start + max(1, int((stop - start) * 0.8))
        rows = order[start:stop]
        yield _fit(curves.take(rows), rows, wavelength_nm, time_scales)
        start = stop


def _fit(
    curves: LightCurves, rows: np.ndarray, wavelength_nm: np.ndarray, time_scales: Sequence[float]
) -> FittedProcess:
    shape = (len(rows), int(curves.lengths.max()))
    first = curves.mjd[curves.offsets[:-1]]
    time, wavelength, flux, error = (
        _pad(values, curves, shape)
        for values in (
            curves.mjd - first[curves.owner],
            wavelength_nm[curves.band] / WAVELENGTH_SCALE_NM,
            curves.flux,
            np.hypot(curves.flux_err.astype(np.float64), SYSTEMATIC * curves.flux),
        )
    )
    mask = _pad(np.ones(len(curves.mjd)), curves, shape).bool()
    # Padding is independent noise of unit variance around a flux of zero: it changes no posterior.
    noise = torch.where(mask, error**2, 1.0)
    size = (flux.abs() - 2 * error).amax(1).clamp(min=0)
    size = torch.where(size > 0, size, torch.where(mask, error, 0).amax(1))
    both = (mask[:, :, None] & mask[:, None, :]).double()
    colour = matern((wavelength[:, :, None] - wavelength[:, None]).abs_()) * both
    lag = (time[:, :, None] - time[:, None]).abs_()
    silent = -0.5 * (flux**2 / noise + noise.log()).sum(1)

    table = []
    best: tuple[Tensor, ...] = ()
    for scale in time_scales:
        prior = matern(lag / scale) * colour
        of_scale = torch.full((shape[0],), -torch.inf, dtype=torch.float64)
        for share in AMPLITUDES:
            amplitude = share * size
            factor = torch.linalg.cholesky(prior * amplitude[:, None, None] ** 2 + torch.diag_embed(noise))
            weights = torch.cholesky_solve(flux[..., None], factor)[..., 0]
            fit = -0.5 * (flux * weights).sum(1) - torch.diagonal(factor, dim1=1, dim2=2).log().sum(1) - silent
            of_scale = torch.maximum(of_scale, fit)
            new = (fit, torch.full_like(fit, scale), amplitude, factor, weights)
            best = _better(best, new) if best else new
        table.append(of_scale)
    _, time_scale, amplitude, factor, weights = best
    scores = torch.stack(table, 1)
    return FittedProcess(rows, time, wavelength, time_scale, amplitude, factor, weights * mask, mask, scores)


def _better(old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    wins = new[0] > old[0]
    return tuple(torch.where(wins.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True))


def _pad(values: np.ndarray, curves: LightCurves, shape: tuple[int, int]) -> Tensor:
    padded = np.zeros(shape)
    padded[curves.owner, curves.position] = values
    return torch.from_numpy(padded)
