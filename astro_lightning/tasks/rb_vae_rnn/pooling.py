"""Statistics of a sequence of frame embeddings that no longer depend on its length."""

import itertools

import numpy as np
from scipy import stats

PERCENTILES = np.array([0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100])
OUTLYING = 5.0


def pooled_names(latent_dims: int) -> list[str]:
    """Name of each column of `pool`."""
    dims = range(latent_dims)
    moments = ["mean", "std", *(f"p{q}" for q in PERCENTILES), "skew", "kurtosis"]
    names = [f"{array}_{moment}_{d}" for array in ("mu", "logvar") for moment in moments for d in dims]
    names += [f"step_{moment}_{d}" for moment in ("mean", "max", "median") for d in dims]
    names += [f"correlation_{i}_{j}" for i in dims for j in dims if j > i]
    names += [f"{name}_{d}" for name in ("outlying", "lag1", "half_difference") for d in dims]
    for scalar in ("distance", "robust_distance", "norm", "jump"):
        names += [f"{scalar}_p{q}" for q in PERCENTILES] + [f"{scalar}_mean", f"{scalar}_std"]
    return names


def pool(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """Statistics of one object.

    Args:
        mu: (n_frames, latent_dims) means of the frames' posteriors, in time order.
        logvar: (n_frames, latent_dims) log-variances.

    Returns:
        float32 (n_statistics,), in the order of `pooled_names`: moments and percentiles of both; steps between consecutive
        frames; correlations; distances to the median frame, plain and in units of the median absolute deviation.
    """
    parts = [_moments(mu), _moments(logvar)]
    step = np.abs(np.diff(mu, axis=0)) if len(mu) > 1 else np.zeros_like(mu)
    parts += [step.mean(0), step.max(0), np.median(step, 0)]
    mean, std = mu.mean(0), mu.std(0)
    scaled = (mu - mean) / (std + 1e-6)
    parts.append((scaled.T @ scaled / len(mu))[np.triu_indices(mu.shape[1], 1)])
    middle = np.median(mu, 0)
    deviation = mu - middle
    robust = np.abs(deviation) / (np.median(np.abs(deviation), 0) + 1e-3)
    half = len(mu) // 2
    parts += [
        (robust > OUTLYING).mean(0),
        (scaled[1:] * scaled[:-1]).sum(0) / len(mu),
        mu[half:].mean(0) - (mu[:half].mean(0) if half else mean),
    ]
    for scalar in (_norm(deviation), np.sqrt((robust**2).mean(1)), _norm(mu), _norm(step)):
        parts.append(np.append(np.percentile(scalar, PERCENTILES), [scalar.mean(), scalar.std()]))
    return np.nan_to_num(np.concatenate([np.ravel(part) for part in parts])).astype(np.float32)


def pool_all(mu: np.ndarray, logvar: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Statistics of several objects, (n_objects, n_statistics).

    Args:
        mu: (total_frames, latent_dims).
        logvar: (total_frames, latent_dims).
        offsets: (n_objects + 1,) first frame of each object.
    """
    return np.stack([pool(mu[a:b], logvar[a:b]) for a, b in itertools.pairwise(offsets)])


def _moments(values: np.ndarray) -> np.ndarray:
    constant = values.std(0) < 1e-9
    with np.errstate(all="ignore"):
        skew = np.where(constant, 0, stats.skew(values, axis=0))
        kurtosis = np.where(constant, 0, stats.kurtosis(values, axis=0))
    return np.vstack([values.mean(0), values.std(0), np.percentile(values, PERCENTILES, axis=0), skew, kurtosis])


def _norm(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).sum(1))
