"""Synthetic twin: periodic variables of the Catalina types, for tests and demonstration."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

# Type -> share, shortest and longest period (days), amplitude (mag), harmonics' amplitudes relative to the first.
TYPES: dict[str, tuple[float, float, float, float, tuple[float, ...]]] = {
    "RRab": (0.18, 0.45, 0.75, 0.35, (1.0, 0.45, 0.3, 0.2)),
    "RRc": (0.16, 0.26, 0.4, 0.2, (1.0, 0.15, 0.05)),
    "RRd": (0.06, 0.34, 0.42, 0.18, (1.0, 0.15)),
    "Blazhko": (0.06, 0.45, 0.65, 0.35, (1.0, 0.4, 0.25)),
    "contact_or_semidetached_EB": (0.16, 0.25, 0.7, 0.2, ()),
    "EA": (0.12, 0.5, 4.0, 0.4, ()),
    "rotational": (0.1, 0.3, 30.0, 0.1, (1.0, 0.1)),
    "LPV": (0.06, 120.0, 400.0, 0.9, (1.0, 0.2)),
    "delta_scuti": (0.05, 0.07, 0.18, 0.15, (1.0, 0.3)),
    "Cep_II": (0.05, 1.2, 20.0, 0.35, (1.0, 0.3)),
}
OVERTONE_RATIO = 0.7445
SPAN_D = 2800.0


def simulate(n_objects: int, seed: int) -> pa.Table:
    """Light curves with four visits a night, seasons, noise and the catalogue's period.

    Args:
        n_objects: Objects to make.
        seed: Of everything random.

    Returns:
        `id`, `label`, `period` (days) and lists `mjd`, `mag`, `mag_err`.
    """
    rng = np.random.default_rng(seed)
    share = np.array([entry[0] for entry in TYPES.values()])
    names = rng.choice(list(TYPES), n_objects, p=share / share.sum())
    low, high, size = (np.array([TYPES[name][i] for name in names]) for i in (1, 2, 3))
    period = low * (high / low) ** rng.random(n_objects)
    nights = rng.integers(25, 60, n_objects)
    owner = np.repeat(np.arange(n_objects), 4 * nights)
    night = np.repeat(np.floor(rng.uniform(0, SPAN_D, nights.sum())), 4)
    # Half of every year the field is behind the Sun.
    night = np.floor(night / 365.25) * 365.25 + (night % 365.25) / 2
    mjd = 53_500 + night + np.tile(np.arange(4) * 0.0069, nights.sum()) + rng.uniform(0, 0.4, len(night) // 4).repeat(4)
    order = np.lexsort((mjd, owner))
    mjd = mjd[order]
    err = rng.uniform(0.03, 0.07, n_objects)[owner]
    shape = np.zeros(len(mjd))
    for name in TYPES:  # a loop over types: every type has its own formula
        rows = np.flatnonzero(names == name)
        where = np.isin(owner, rows)
        shape[where] = _shape(name, mjd[where], period[owner[where]], owner[where], rng, n_objects)
    mag = rng.uniform(13, 16.5, n_objects)[owner] + size[owner] * shape + rng.normal(0, err)
    offsets = pa.array(np.concatenate([[0], np.cumsum(4 * nights)]), pa.int64())
    lists = {"mjd": mjd, "mag": mag.astype(np.float32), "mag_err": err.astype(np.float32)}
    return pa.table(
        {"id": np.arange(n_objects), "label": pa.array(names.tolist()), "period": period}
        | {name: pa.LargeListArray.from_arrays(offsets, pa.array(values)) for name, values in lists.items()}
    )


def _shape(
    name: str, mjd: np.ndarray, period: np.ndarray, owner: np.ndarray, rng: np.random.Generator, n_objects: int
) -> np.ndarray:
    """Magnitudes of unit amplitude about zero, shape (observations,)."""
    phase = (mjd / period + rng.random(n_objects)[owner]) % 1
    if name == "contact_or_semidetached_EB":
        depth = rng.uniform(0.02, 0.12, n_objects)[owner]
        return np.cos(4 * np.pi * phase) + depth * np.cos(2 * np.pi * phase)
    if name == "EA":
        width, second = rng.uniform(0.03, 0.07, n_objects)[owner], rng.uniform(0.2, 0.9, n_objects)[owner]
        away = np.minimum(phase, 1 - phase)
        return np.exp(-0.5 * (away / width) ** 2) + second * np.exp(-0.5 * ((phase - 0.5) / width) ** 2)
    relative = TYPES[name][4]
    # Pulsators brighten fast and fade slowly.
    shift = -0.25 * np.arange(len(relative))
    wave = sum(a * np.cos(2 * np.pi * (k * phase + s)) for k, (a, s) in enumerate(zip(relative, shift), 1))
    if name == "RRd":
        wave = wave + 0.7 * np.cos(2 * np.pi * mjd / (period / OVERTONE_RATIO))
    if name == "Blazhko":
        cycle = rng.uniform(30, 120, n_objects)[owner]
        wave = wave * (1 + 0.45 * np.cos(2 * np.pi * mjd / cycle))
    return np.asarray(wave)
