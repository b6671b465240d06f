"""What an astronomer's eye takes from a stamp, as numbers: profile, shape, symmetry, negative pixels, agreement of the images."""

import itertools
from functools import lru_cache

import numpy as np

RINGS_PX = (0, 1, 2, 3, 4.5, 6, 8, 11, 15, 21, 31)
CLIP_SIGMA = 1e4
LARGEST_COUNT = 1e30
BATCH = 512
N_STAMP_FEATURES = 133


def stamp_features(stamps: np.ndarray) -> np.ndarray:
    """Features of stamps of any size.

    Args:
        stamps: (n, 3, side, side) science, template and difference; NaN where there was no pixel.

    Returns:
        float32 (n, 133), finite. Fluxes are in units of each image's robust noise.
    """
    parts = [_features(stamps[i : i + BATCH]) for i in range(0, len(stamps), BATCH)]
    return np.concatenate(parts).astype(np.float32) if parts else np.empty((0, N_STAMP_FEATURES), dtype=np.float32)


def _features(stamps: np.ndarray) -> np.ndarray:
    n, side = len(stamps), stamps.shape[-1]
    radius = _radius(side)
    flat = np.asarray(stamps, dtype=np.float32).reshape(n, 3, -1)
    missing = ~np.isfinite(flat)
    median = np.nanmedian if missing.any() else np.median
    # An image without any pixel is a flat one.
    flat = np.where(missing.all(2, keepdims=True), 0, np.where(missing, np.nan, flat))
    middle = median(flat, axis=2, keepdims=True)
    noise = 1.4826 * median(np.abs(flat - middle), axis=2, keepdims=True)
    # Pixels of 1e38 exist; what overflows is clipped.
    with np.errstate(over="ignore", invalid="ignore"):
        sigma = np.nan_to_num((flat - middle) / np.maximum(noise, 1e-3 * np.abs(middle) + 1e-6))
    sigma = np.clip(sigma, -CLIP_SIGMA, CLIP_SIGMA)
    log_sigma = np.arcsinh(sigma)
    columns = [missing.mean(2), np.arcsinh(noise[:, :, 0]), np.arcsinh(middle[:, :, 0])]
    for inner, outer in itertools.pairwise(RINGS_PX):
        ring = log_sigma[:, :, (radius >= inner) & (radius < outer)]
        columns += [ring.mean(2), ring.std(2)]
    columns += _core(sigma, radius, side) + _shape(sigma, radius, side) + _texture(sigma, log_sigma, radius, side)
    near = radius <= 7
    columns += [
        _correlation(log_sigma[:, i, near], log_sigma[:, j, near])[:, None] for i, j in ((0, 2), (1, 2), (0, 1))
    ]
    # A few pixels of 1e38 already overflow a sum.
    light = np.clip(np.abs(np.nan_to_num(flat - middle)), 0, LARGEST_COUNT)[:, :, near].sum(2)
    left = np.clip(np.abs(np.nan_to_num(flat[:, 2])), 0, LARGEST_COUNT)[:, near].sum(1)
    columns.append((left / (light[:, 0] + 1e-6)).clip(0, 10)[:, None])
    return np.concatenate(columns, axis=1)


def _core(sigma: np.ndarray, radius: np.ndarray, side: int) -> list[np.ndarray]:
    y, x = _offsets(side)
    inside = np.flatnonzero((np.abs(y) <= 2) & (np.abs(x) <= 2))
    core = sigma[:, :, inside]
    positive = np.clip(sigma[:, :, radius <= 7], 0, None).sum(2) + 1e-6
    around = sigma[:, :, (np.abs(y) <= 1) & (np.abs(x) <= 1)]
    return [
        core.sum(2) / (np.abs(core).sum(2) + 1e-6),
        (core < 0).mean(2),
        np.arcsinh(core.max(2)),
        np.arcsinh(core.min(2)),
        (core.max(2) / positive).clip(0, 1),
        radius[inside][core.argmax(2)],
        sigma[:, :, radius == 0][:, :, 0] / (np.abs(around).sum(2) + 1e-6),
    ]


def _shape(sigma: np.ndarray, radius: np.ndarray, side: int) -> list[np.ndarray]:
    y, x = (offset[radius <= 7] for offset in _offsets(side))
    light = np.clip(sigma[:, :, radius <= 7], 0, None)
    total = light.sum(2) + 1e-6
    cy, cx = light @ y / total, light @ x / total
    yy, xx, xy = light @ y**2 / total - cy**2, light @ x**2 / total - cx**2, light @ (x * y) / total - cx * cy
    size = xx + yy
    return [np.hypot(cy, cx), np.sqrt(np.maximum(size, 0)), np.hypot((xx - yy) / 2, xy) / (size / 2 + 1e-6)]


def _texture(sigma: np.ndarray, log_sigma: np.ndarray, radius: np.ndarray, side: int) -> list[np.ndarray]:
    near, middle = radius <= 7, radius <= 10
    turned = log_sigma[:, :, ::-1]
    columns = [
        _correlation(log_sigma[:, :, middle], turned[:, :, middle]),
        (sigma > 5).mean(2),
        (sigma < -5).mean(2),
        (sigma > 50).mean(2),
        (sigma[:, :, near] < -4).sum(2),
        (sigma[:, :, near] > 4).sum(2),
    ]
    for width_px in (1.2, 2.0):
        star = np.exp(-0.5 * (radius[near] / width_px) ** 2)
        columns.append(_correlation(sigma[:, :, near], np.broadcast_to(star, sigma[:, :, near].shape)))
    square = log_sigma.reshape(*log_sigma.shape[:2], side, side)
    return [*columns, np.abs(np.median(square, axis=2)).max(2), np.abs(np.median(square, axis=3)).max(2)]


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    return (a * b).mean(-1) / (a.std(-1) * b.std(-1) + 1e-6)


@lru_cache
def _offsets(side: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(side, dtype=np.float32) - side // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y.ravel(), x.ravel()


@lru_cache
def _radius(side: int) -> np.ndarray:
    return np.hypot(*_offsets(side))
