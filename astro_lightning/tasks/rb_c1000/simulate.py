"""Synthetic twin: stamps of transients and of what imitates them in difference images."""

import numpy as np
import pyarrow as pa

BOGUS_KINDS = ("cosmic_ray", "dipole", "saturated", "ghost", "hot_column", "edge", "noise_peak")
SKY_NOISE = 10.0


def simulate(n_objects: int, seed: int, part: str = "all", side_px: int = 63, real_share: float = 0.3) -> pa.Table:
    """Records of stamps with labels.

    Args:
        n_objects: Number of stamps.
        seed: Of all random choices.
        part: `labelled`, `unlabelled` or `all`: the last keep or drop the labels.
        side_px: Side of a stamp.
        real_share: Share of real transients, as in ZTF-NEW.

    Returns:
        Table with `id`, `label`, `group`, `kind` (what was simulated) and `stamp` (3, side_px, side_px), NaN at detector edges.
    """
    rng = np.random.default_rng(seed)
    is_real = rng.random(n_objects) < real_share
    kind = np.where(is_real, "transient", rng.choice(BOGUS_KINDS, n_objects))
    stamps = _scenes(kind, side_px, rng)
    ids = np.arange(n_objects)
    label = (
        pa.nulls(n_objects, pa.string())
        if part == "unlabelled"
        else pa.array(np.where(is_real, "real", "bogus").tolist())
    )
    flat = pa.FixedSizeListArray.from_arrays(pa.array(stamps.ravel()), 3 * side_px**2)
    return pa.table({"id": ids, "label": label, "group": ids, "kind": kind.tolist(), "stamp": flat})


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
    edge = np.flatnonzero(kind == "edge")
    border = rng.integers(side // 4, side // 2, len(edge))
    outside = np.broadcast_to(x, (1, side, side)) < -border[:, None, None]
    images[edge] = np.where(outside[:, None], np.nan, images[edge])
    return images.astype(np.float32)


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
        image: sum(np.where(is_kind[name], piece[i], 0) for name, piece in pieces.items())
        for i, image in enumerate(("science", "template", "difference"))
    }


def _spot(y: np.ndarray, x: np.ndarray, width: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (x**2 + y**2) / width**2) / (2 * np.pi * width**2)
