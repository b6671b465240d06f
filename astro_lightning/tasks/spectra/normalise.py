"""Published forms of scaling, smoothing, clipping and noise augmentation of spectra, each for a whole batch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from astro_lightning.data.errors import BadInput

Floats = NDArray[np.float32]
NORMALISATIONS = ("unit", "mean", "median", "max", "zscore")


def normalise(flux: Floats, mask: NDArray[np.bool_], kind: str) -> Floats:
    """Scale each spectrum (Li et al. 2007).

    Args:
        flux: (n, L).
        mask: (n, L), True where usable; other pixels take no part in the statistics and become 0.
        kind: `unit` divides by sqrt(sum x^2), `mean`, `median` and `max` by the absolute value of that statistic (so
            that a noisy spectrum is never turned over), `zscore` subtracts the mean and divides by the deviation.

    Returns:
        (n, L) float32; spectra without a usable pixel are all 0.

    Raises:
        BadInput: Unknown kind.
    """
    if kind not in NORMALISATIONS:
        raise BadInput(f"normalisation={kind!r} is unknown: choose one of {', '.join(NORMALISATIONS)}")
    used = np.where(mask, flux, 0).astype(np.float32)
    count = np.maximum(mask.sum(1, keepdims=True), 1)
    if kind == "unit":
        scale = np.sqrt(np.einsum("ij,ij->i", used, used))[:, None]
    elif kind == "median":
        scale = np.nan_to_num(_masked_median(flux, mask))
    elif kind == "max":
        scale = np.where(mask, flux, -np.inf).max(1, keepdims=True)
    else:
        scale = used.sum(1, keepdims=True) / count
    if kind == "zscore":
        used = np.where(mask, used - scale, 0)
        scale = np.sqrt((used**2).sum(1, keepdims=True) / count)
    scale = np.abs(np.where(np.isfinite(scale), scale, 0))
    return (used / np.where(scale > 0, scale, 1)).astype(np.float32)


def _masked_median(flux: Floats, mask: NDArray[np.bool_]) -> Floats:
    ordered = np.sort(np.where(mask, flux, np.inf), axis=1)
    count = mask.sum(1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis=1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, flux.shape[1] - 1), axis=1)
    return np.where(count > 0, 0.5 * (low + np.where(np.isfinite(high), high, low)), 0)


def bridged(flux: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Straight lines across pixels that are not usable, level beyond the outermost usable ones: (n, L) twice -> (n, L).

    What filters along the spectrum then draws nothing from the gaps into the pixels beside them.
    """
    length = flux.shape[1]
    place = np.arange(length)
    left = np.maximum.accumulate(np.where(mask, place, -1), axis=1)
    right = np.minimum.accumulate(np.where(mask, place, length)[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(left < 0, right, left), np.where(right == length, left, right)
    low, high = (np.take_along_axis(flux, side.clip(0, length - 1), axis=1) for side in (left, right))
    part = ((place - left) / np.maximum(right - left, 1)).astype(np.float32)
    return np.where(mask, flux, low + (high - low) * part)


def smooth(flux: Floats, window: int = 7, order: int = 3) -> Floats:
    """Savitzky-Golay filter along the last axis: (n, L) -> (n, L); the ends are mirrored."""
    return savgol_filter(flux, window, order, mode="mirror")


def clip_outliers(flux: Floats, mask: NDArray[np.bool_], n_sigma: float = 6.0) -> Floats:
    """Replace usable pixels further than n_sigma robust deviations from a running median by that median's value.

    Gaps are to be bridged before.

    The running median spans 31 pixels, so that narrow emission lines are cut too: use it for cosmic rays in spectra
    without narrow lines.
    """
    window = 31
    padded = np.pad(flux, ((0, 0), (window // 2, window // 2)), mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::5]
    coarse = np.median(views, axis=2)
    x, xp = np.arange(flux.shape[1]), np.arange(0, flux.shape[1], 5)
    left = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, len(xp) - 2)
    part = ((x - xp[left]) / 5).astype(np.float32)
    level = coarse[:, left] * (1 - part) + coarse[:, left + 1] * part
    residual = np.abs(flux - level)
    sigma = 1.4826 * np.median(residual, axis=1, keepdims=True)
    rounding = 1e-6 * np.median(np.abs(flux), axis=1, keepdims=True)
    return np.where(mask & (residual > n_sigma * np.maximum(sigma, rounding)), level, flux).astype(np.float32)


def add_white_noise(
    flux: Floats, mask: NDArray[np.bool_], label: NDArray[np.int64], share: Mapping[int, float],
    rng: np.random.Generator, strength: float = 0.2,
) -> Floats:  # fmt: skip
    """Published augmentation x + N(0, 1) s k, s the spectrum's own standard deviation.

    Args:
        flux: (n, L).
        mask: (n, L), True where usable: the deviation is that of usable pixels.
        label: (n,) class numbers.
        share: Class number -> share of its spectra that get noise.
        rng: Source of randomness.
        strength: k.
    """
    probability = np.array([share.get(int(c), 0.0) for c in label])
    chosen = rng.random(len(flux)) < probability
    deviation = np.nan_to_num(np.ma.masked_array(flux, ~mask).std(1, keepdims=True).filled(0))
    noise = rng.standard_normal(flux.shape, dtype=np.float32) * deviation * strength
    return np.where(chosen[:, None], flux + noise, flux).astype(np.float32)
