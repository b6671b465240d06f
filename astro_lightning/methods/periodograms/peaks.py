"""The highest peaks of a periodogram, how significant they are and whether two periods agree."""

from __future__ import annotations

import numpy as np


def top_peaks(power: np.ndarray, count: int, separation: int = 10) -> np.ndarray:
    """Indices of the highest local maxima, best first, no two nearer than `separation` entries.

    Args:
        power: Periodogram, shape (frequencies,), larger is better.
        count: Number of peaks; fewer come back where there are fewer.
        separation: Least distance of two peaks in entries.
    """
    inner = power[1:-1]
    peak = np.flatnonzero((inner >= power[:-2]) & (inner > power[2:])) + 1
    if len(peak) > 40 * count:
        peak = peak[np.argpartition(power[peak], -40 * count)[-40 * count :]]
    peak = peak[np.argsort(power[peak])[::-1]]
    taken: list[int] = []
    while len(peak) and len(taken) < count:
        taken.append(int(peak[0]))
        peak = peak[np.abs(peak - peak[0]) >= separation]
    return np.array(taken, dtype=np.int64)


def significance(power: np.ndarray, best: float) -> float:
    """Distance of the best value from the mean of a periodogram in its standard deviations."""
    return float(abs(power.mean() - best) / max(power.std(), 1e-12))


def agreement(period_d: np.ndarray, other_d: np.ndarray) -> np.ndarray:
    """True where two periods agree within 5%, or do at a half, double, third or triple of one of them."""
    ratio = np.asarray(period_d)[..., None] / np.asarray(other_d)[..., None]
    return (np.abs(ratio / np.array([1, 1 / 2, 2, 1 / 3, 3]) - 1) <= 0.05).any(-1)
