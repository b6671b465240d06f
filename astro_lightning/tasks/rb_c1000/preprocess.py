"""Pixels of stamps made fit for a network: missing ones filled, absurd ones tamed, one scale."""

import numpy as np
import torch
from torch import Tensor

from astro_lightning.data.errors import BadInput

CHOICES = ("none", "asinh", "robust", "unit_norm")
# Counts beyond this are overflow of the survey's pipeline (1e10 and more), not light.
LARGEST_COUNT = 1e6
ROBUST_SIGMA_CLIP = 1e3


def preprocess(stamps: np.ndarray, choice: str = "robust", side_px: int | None = None) -> np.ndarray:
    """Fill, scale and crop a batch of stamps.

    Args:
        stamps: (n, 3, height, width) science, template and difference; NaN where there was no pixel.
        choice: `none` (counts, missing = 0, as RB-C1000), `asinh` (of counts), `robust` (each image minus its median, over
            1.4826 times its median absolute deviation, then asinh), `unit_norm` (each image over its L2 norm, as braai,
            Duev et al. 2019, arXiv:1907.11259).
        side_px: Crop about the centre, or 224 for the published bilinear enlargement; None keeps the side.

    Returns:
        float32 (n, 3, side, side), finite.

    Raises:
        BadInput: Unknown choice, or a side that is no crop and not 224.
    """
    if choice not in CHOICES:
        raise BadInput(f"preprocess={choice} is unknown; choose {', '.join(CHOICES)}")
    x = np.asarray(stamps, dtype=np.float32)
    x = crop(x, side_px) if side_px and side_px < x.shape[-1] else x
    missing = ~np.isfinite(x)
    if choice == "none":
        x = np.where(missing, 0, x)
    elif choice == "asinh":
        x = np.arcsinh(np.clip(np.where(missing, 0, x), -LARGEST_COUNT, LARGEST_COUNT))
    elif choice == "unit_norm":
        x = np.clip(np.where(missing, 0, x), -LARGEST_COUNT, LARGEST_COUNT)
        x = x / np.maximum(np.sqrt((x**2).sum((-2, -1), keepdims=True)), 1e-6)
    else:
        x = robust(x, missing)
    if side_px and side_px > x.shape[-1]:
        if side_px != 224:
            raise BadInput(
                f"side_px={side_px} is larger than the stamps of {x.shape[-1]} pixels: only 224 enlarges them"
            )
        return enlarge(torch.from_numpy(x.astype(np.float32)), side_px).numpy()
    return np.ascontiguousarray(x, dtype=np.float32)


def robust(x: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Asinh of (x - median) / (1.4826 MAD) of each image; missing pixels and images without any become 0."""
    flat = np.where(missing, np.nan, x).reshape(*x.shape[:-2], -1)
    empty = np.all(missing.reshape(flat.shape), axis=-1)
    flat = np.where(empty[..., None], 0, flat)
    # Without missing pixels the plain median is ten times faster.
    median = np.nanmedian if missing.any() else np.median
    middle = median(flat, axis=-1, keepdims=True)
    spread = 1.4826 * median(np.abs(flat - middle), axis=-1, keepdims=True)
    floor = 1e-3 * np.abs(middle) + 1e-6
    # Pixels of 1e38 exist; what overflows is clipped.
    with np.errstate(over="ignore"):
        scaled = np.clip((flat - middle) / np.maximum(spread, floor), -ROBUST_SIGMA_CLIP, ROBUST_SIGMA_CLIP)
    return np.nan_to_num(np.arcsinh(scaled)).reshape(x.shape)


def crop(x: np.ndarray, side_px: int) -> np.ndarray:
    """The central square of images (..., height, width)."""
    top, left = (x.shape[-2] - side_px) // 2, (x.shape[-1] - side_px) // 2
    return x[..., top : top + side_px, left : left + side_px]


def enlarge(x: Tensor, side_px: int) -> Tensor:
    """Bilinear interpolation of (n, c, h, w) to a larger side."""
    return torch.nn.functional.interpolate(x, size=(side_px, side_px), mode="bilinear", align_corners=False)


def turn(x: Tensor, quarter: int, mirror: bool) -> Tensor:
    """A batch turned by quarter circles and mirrored: the sky has no upright."""
    x = torch.rot90(x, quarter, (-2, -1))
    return x.flip(-1) if mirror else x
