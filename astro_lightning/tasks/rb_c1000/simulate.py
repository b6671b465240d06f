"""Synthetic twin: stamps of transients and of what imitates them in difference images."""

from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.data.surveys.stamps import Stamps

BOGUS_KINDS = ("cosmic_ray", "dipole", "saturated", "ghost", "hot_column", "edge", "noise_peak")
SKY_NOISE = 10.0


def simulate(
    n_objects: int,
    seed: int,
    part: str = "all",
    side_px: int = 63,
    real_share: float = 0.3,
    backgrounds: str | None = None,
) -> pa.Table:
    """Records of stamps with labels; a sixth of the transients are below five sigma, fainter than surveys report them.

    Args:
        n_objects: Number of stamps.
        seed: Of all random choices.
        part: `labelled`, `unlabelled` or `all`: the last keep or drop the labels.
        side_px: Side of a stamp.
        real_share: Share of real transients, as in ZTF-NEW.
        backgrounds: File or folder of real stamps (see `Stamps`) to inject into; None = a simulated sky.

    Returns:
        Table with `id`, `label`, `group`, `kind` (what was simulated) and `stamp` (3, side_px, side_px), NaN at detector edges.
    """
    rng = np.random.default_rng(seed)
    is_real = rng.random(n_objects) < real_share
    kind = np.where(is_real, "transient", rng.choice(BOGUS_KINDS, n_objects))
    if backgrounds is None:
        stamps = _scenes(kind, side_px, rng)
    else:
        tables = Stamps(stamp_px=side_px).read(Path(backgrounds).expanduser())
        flat = np.concatenate([table["stamp"].combine_chunks().flatten().to_numpy() for table in tables])
        stamps = inject(kind, flat.reshape(-1, 3, side_px, side_px), rng)
    ids = np.arange(n_objects)
    label = (
        pa.nulls(n_objects, pa.string())
        if part == "unlabelled"
        else pa.array(np.where(is_real, "real", "bogus").tolist())
    )
    flat = pa.FixedSizeListArray.from_arrays(pa.array(stamps.ravel()), 3 * side_px**2)
    return pa.table({"id": ids, "label": label, "group": ids, "kind": kind.tolist(), "stamp": flat})


def inject(kind: np.ndarray, real: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put transients and their imitations into real stamps, as bright against the noise as in the simulated sky.

    Each background is turned, mirrored and moved until what had triggered the alert stands beside the centre; what is moved
    in is a reflection.

    Args:
        kind: (n,) of `transient` and `BOGUS_KINDS`.
        real: (m, 3, side, side) stamps, NaN where there was no pixel; each may serve several times.
        rng: Of all random choices.

    Returns:
        float32 (n, 3, side, side).
    """
    n, side = len(kind), real.shape[-1]
    images = np.empty((n, 3, side, side), dtype=np.float32)
    for i, row in enumerate(rng.integers(0, len(real), n)):
        turned = np.rot90(real[row], int(rng.integers(4)), (1, 2))[:, :, :: rng.choice([-1, 1])]
        way, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.4) * side
        dy, dx = round(far * np.sin(way)), round(far * np.cos(way))
        wide = np.pad(turned, ((0, 0), (abs(dy),) * 2, (abs(dx),) * 2), mode="reflect")
        images[i] = wide[:, abs(dy) + dy :, abs(dx) + dx :][:, :side, :side]
    known = np.nan_to_num(images[:, 2].reshape(n, -1))
    spread = 1.4826 * np.median(np.abs(known - np.median(known, axis=1, keepdims=True)), axis=1)
    scale = (np.maximum(spread, 1e-3) / (1.1 * SKY_NOISE))[:, None, None]
    y, x = (np.mgrid[:side, :side] - side // 2).astype(np.float32)[:, None]
    centre, flux = rng.normal(0, 0.4, (2, n, 1, 1)), 10 ** rng.uniform(2.1, 4, (n, 1, 1))
    added = _added(kind, y, x, centre, flux, rng.uniform(0.9, 1.8, (n, 1, 1)), rng)
    for i, name in enumerate(("science", "template", "difference")):
        light = added[name]
        images[:, i] += scale * (light + rng.normal(0, 1, light.shape) * np.sqrt(np.abs(light) / 3))
    return _cut_edges(images, kind, rng)


def _scenes(kind: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    n = len(kind)
    y, x = (np.mgrid[:side, :side] - side // 2).astype(np.float32)[:, None]
    width = rng.uniform(0.9, 1.8, (n, 1, 1))  # of the science image's star, in pixels
    reference_width = rng.uniform(0.9, 1.4, (n, 1, 1))
    science = np.zeros((n, side, side), dtype=np.float32)
    template, difference = science.copy(), science.copy()
    # Neighbours and hosts stand in both images; what remains of them after subtraction is a few per cent.
    for _ in range(4):
        flux = 10 ** rng.uniform(2, 4.5, (n, 1, 1)) * (rng.random((n, 1, 1)) < 0.6)
        dy, dx = rng.uniform(-side / 2, side / 2, (2, n, 1, 1))
        extent = np.where(rng.random((n, 1, 1)) < 0.3, rng.uniform(1, 3, (n, 1, 1)), 0)
        star, old = (
            _spot(y - dy, x - dx, np.hypot(width, extent)),
            _spot(y - dy, x - dx, np.hypot(reference_width, extent)),
        )
        science += flux * star
        template += flux * old
        difference += flux * star * rng.normal(0, 0.01, (n, 1, 1))
    host = 10 ** rng.uniform(2, 4, (n, 1, 1)) * (rng.random((n, 1, 1)) < 0.6)
    offset = rng.normal(0, 2, (2, n, 1, 1))
    extent = rng.uniform(0.5, 3, (n, 1, 1))
    science += host * _spot(y - offset[0], x - offset[1], np.hypot(width, extent))
    template += host * _spot(y - offset[0], x - offset[1], np.hypot(reference_width, extent))
    centre = rng.normal(0, 0.4, (2, n, 1, 1))
    flux = 10 ** rng.uniform(2.1, 4, (n, 1, 1))
    added = _added(kind, y, x, centre, flux, width, rng)
    science += added["science"]
    template += added["template"]
    difference += added["difference"]
    images = np.stack([science, template, difference], axis=1)
    noise = SKY_NOISE * np.array([1.0, 0.4, 1.1])[None, :, None, None]
    images += rng.normal(0, 1, images.shape) * np.sqrt(noise**2 + np.clip(np.abs(images), 0, None) / 3)
    sky = rng.uniform(50, 300, (n, 1, 1))
    images[:, :2] += sky[:, None]
    return _cut_edges(images.astype(np.float32), kind, rng)


def _cut_edges(images: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """NaN beyond the edge of the detector, for objects of kind `edge`."""
    side = images.shape[-1]
    edge = np.flatnonzero(kind == "edge")
    border = rng.integers(side // 4, side // 2, len(edge))
    outside = np.arange(side) - side // 2 < -border[:, None]
    images[edge] = np.where(outside[:, None, None], np.nan, images[edge])
    return images


def _added(
    kind: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    centre: np.ndarray,
    flux: np.ndarray,
    width: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """What stands at the centre, for each of the three images."""
    n = len(kind)
    y, x = y - centre[0], x - centre[1]
    star = flux * _spot(y, x, width)
    is_kind = {name: (kind == name)[:, None, None] for name in ("transient", *BOGUS_KINDS)}
    angle = rng.uniform(0, np.pi, (n, 1, 1))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    ray = flux * (np.abs(across) < 0.6) * (np.abs(along) < rng.uniform(0.6, 6, (n, 1, 1))) / 3
    shift = rng.uniform(0.2, 0.6, (n, 1, 1))
    bright = 10 * flux * _spot(y, x, width)
    dipole = 10 * flux * (_spot(y - shift * np.cos(angle), x - shift * np.sin(angle), width) - _spot(y, x, width))
    burnt = np.minimum(300 * flux * _spot(y, x, 1.5 * width), 5e4) + 2e4 * (np.abs(x) < 1) * (
        rng.random((n, 1, 1)) < 0.5
    )
    radius = np.hypot(y, x)
    ring = rng.uniform(4, 10, (n, 1, 1))
    ghost = np.clip(flux, None, 600) / 8 * np.exp(-0.5 * ((radius - ring) / rng.uniform(1, 4, (n, 1, 1))) ** 2)
    column = np.clip(flux, None, 2000) / 5 * (np.abs(x) < 0.6) * np.ones_like(y)
    peak = rng.uniform(5, 9, (n, 1, 1)) * SKY_NOISE * (np.hypot(y, x) < 0.8)
    near_edge = rng.uniform(3, 8, (n, 1, 1)) * SKY_NOISE * rng.normal(0, 1, star.shape) * (radius < 4)
    pieces = {
        "transient": (star, 0 * star, star),
        "cosmic_ray": (ray, 0 * ray, ray),
        "dipole": (bright, bright, dipole),
        "saturated": (burnt, burnt, burnt * rng.normal(0, 0.2, star.shape)),
        "ghost": (ghost, 0 * ghost, ghost),
        "hot_column": (column, 0 * column, column),
        "edge": (near_edge, 0 * near_edge, near_edge),
        "noise_peak": (peak, 0 * peak, peak),
    }
    return {
        image: reduce(np.add, (np.where(is_kind[name], piece[i], 0) for name, piece in pieces.items()))
        for i, image in enumerate(("science", "template", "difference"))
    }


def _spot(y: np.ndarray, x: np.ndarray, width: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (x**2 + y**2) / width**2) / (2 * np.pi * width**2)
