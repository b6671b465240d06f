"""What telescope, atmosphere and pipeline do to a spectrum; drawn identically for all classes."""

import numpy as np
import scipy.fft

from astro_lightning.tasks.spectra import lines
from astro_lightning.tasks.spectra.library import Floats


def smooth_rows(flux: Floats, sigma_pixels: Floats) -> Floats:
    """Convolve each row with its own Gaussian: (n, L), (n,) -> (n, L); ends are mirrored."""
    margin = 32
    padded = np.pad(flux, ((0, 0), (margin, margin)), mode="reflect")
    frequency = np.fft.rfftfreq(padded.shape[1]).astype(np.float32)
    kernel = np.exp(-2 * (np.pi * frequency[None] * sigma_pixels[:, None]) ** 2).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(padded, axis=1) * kernel, padded.shape[1], axis=1)[:, margin:-margin]


def redden(flux: Floats, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Dust on the line of sight, E(B-V) ~ Exp(0.15)."""
    extinction_v = 3.1 * rng.exponential(0.15, len(flux)).clip(0, 1.2).astype(np.float32)
    curve = ((wavelength_a / 5500) ** -1.35).astype(np.float32)
    return flux * np.exp(-0.921 * extinction_v[:, None] * curve[None])


def miscalibrate(flux: Floats, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Smooth errors of the flux calibration, large ones in some spectra, and a step where two arms are joined.

    The arms of most spectra meet within a few percent; those of a tenth are off by a third, as on bad LAMOST plates.
    """
    n = len(flux)
    x = np.linspace(-1, 1, len(wavelength_a), dtype=np.float32)
    legendre = np.stack([x, 1.5 * x**2 - 0.5, 2.5 * x**3 - 1.5 * x, *(np.sin(k * np.pi * x + k) for k in range(2, 7))])
    scale = np.array([0.25, 0.12, 0.08, 0.02, 0.015, 0.01, 0.01, 0.01]) * np.exp(rng.normal(0, 0.9, (n, 1)))
    tilt = np.exp(
        (scale * rng.standard_normal((n, 8))).astype(np.float32).clip(-1.2, 1.2) @ legendre.astype(np.float32)
    )
    join = rng.uniform(5700, 6100, (n, 1)).astype(np.float32)
    offset = rng.normal(0, np.where(rng.random((n, 1)) < 0.1, 0.35, 0.04))
    step = np.where(wavelength_a[None] > join, np.exp(offset), 1).astype(np.float32)
    return flux * tilt * step


def _telluric(flux: Floats, wavelength_a: Floats, rng: np.random.Generator) -> Floats:
    """Leave a part of the oxygen and water bands in, over- or under-corrected."""
    depth = np.zeros((len(flux), len(wavelength_a)), np.float32)
    for (start, stop), typical in zip(lines.TELLURIC, (0.10, 0.05, 0.25, 0.05), strict=True):
        inside = (wavelength_a > start) & (wavelength_a < stop)
        residual = rng.normal(0.2, 0.6, (len(flux), 1)).clip(-0.6, 1.6) * typical
        ramp = np.linspace(1.4, 0.4, inside.sum())
        depth[:, inside] = residual * ramp
    return flux * (1 - depth)


def noise_shape(n: int, wavelength_a: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noise over wavelength with mean 1, without and with the sky's emission lines: two of (n, L)."""
    blue = np.exp(-(wavelength_a - wavelength_a[0]) / 350)
    red = np.clip((wavelength_a - 7800) / 1200, 0, 1)
    smooth = 1 + rng.uniform(0, 3.0, (n, 1)) * blue + rng.uniform(0, 1.3, (n, 1)) * red
    sky = np.zeros(len(wavelength_a))
    for centre, height in [*((c, 0.5) for c in lines.HYDROXYL), *zip(lines.SKY, (4.0, 0.8, 1.5, 0.6), strict=True)]:
        sky += height * np.exp(-0.5 * ((wavelength_a - centre) / 3.5) ** 2) * (1 + max(centre - 7000, 0) / 1200)
    lumpy = smooth * (1 + rng.gamma(1.2, 0.7, (n, 1)) * sky[None])
    return smooth.astype(np.float32), lumpy.astype(np.float32)


def cover(n: int, wavelength_a: Floats, rng: np.random.Generator) -> np.ndarray:
    """Pixels that were observed (n, L) bool: truncated ends and dead runs."""
    start = np.where(rng.random(n) < 0.35, rng.uniform(3800, 4900, n), 3800)
    stop = np.where(rng.random(n) < 0.25, rng.uniform(8200, 9000, n), 9000)
    grid = wavelength_a[None]
    covered = (grid >= start[:, None]) & (grid <= stop[:, None])
    for probability in (0.3, 0.1):
        first = np.where(rng.random(n) < probability, rng.uniform(3800, 8900, n), 1e6)
        covered &= (grid < first[:, None]) | (grid > (first + rng.uniform(40, 400, n))[:, None])
    return covered


def observe(
    flux: Floats, signal_to_noise: Floats, wavelength_a: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Observe noiseless spectra.

    Args:
        flux: (n, L) per Angstrom, any scale.
        signal_to_noise: (n,) wanted median per pixel of 2 A.
        wavelength_a: (L,).
        rng: Source of all randomness.

    Returns:
        Flux (n, L) with mean level about 1, and inverse variance (n, L) that is 0 where there are no data.
    """
    n = len(flux)
    flux = flux / np.maximum(np.median(np.abs(flux), 1, keepdims=True), 1e-12)
    flux = miscalibrate(redden(flux, wavelength_a, rng), wavelength_a, rng)
    flux = _telluric(flux, wavelength_a, rng)
    resolution = np.where(rng.random(n) < 0.45, rng.uniform(1.0, 4.0, n), rng.uniform(0.3, 1.2, n))
    flux = smooth_rows(flux, resolution.astype(np.float32))
    flux /= np.maximum(np.median(np.abs(flux), 1, keepdims=True), 1e-12)
    smooth, lumpy = noise_shape(n, wavelength_a, rng)
    # Photon noise of bright objects follows their own flux.
    own = np.sqrt(np.clip(flux, 0.05, 20)) ** (signal_to_noise[:, None] > 15)
    sigma = lumpy * own / signal_to_noise[:, None]
    noise = sigma * rng.standard_normal(flux.shape, dtype=np.float32)
    correlated = np.flatnonzero(rng.random(n) < 0.5)
    noise[correlated] = smooth_rows(noise[correlated], rng.uniform(0.4, 2.5, len(correlated)).astype(np.float32))
    noise *= np.sqrt(np.mean(sigma**2, 1, keepdims=True) / np.maximum(np.mean(noise**2, 1, keepdims=True), 1e-12))
    flux = flux + noise
    spikes = rng.random(flux.shape, dtype=np.float32) < rng.gamma(0.5, 4e-4, (n, 1))
    flux = flux + spikes * sigma * rng.normal(6, 12, (n, 1))
    # Some pipelines know the noise of sky lines, others do not.
    told = np.where(rng.random((n, 1)) < 0.6, sigma, smooth * own / signal_to_noise[:, None])
    told = told * np.exp(rng.normal(0, 0.25, (n, 1)))
    covered = cover(n, wavelength_a, rng)
    return np.where(covered, flux, 0).astype(np.float32), np.where(covered, told**-2, 0).astype(np.float32)
