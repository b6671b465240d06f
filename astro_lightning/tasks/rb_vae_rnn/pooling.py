"""Statistics of a sequence of frame embeddings that no longer depend on its length."""

import itertools
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.ndimage import median_filter

PERCENTILES = np.array([0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100])
OUTLYING = 5.0
NEIGHBOURS = 7
N_TOP = 5
SMALLEST_DEVIATION = 0.05


def pool(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """Statistics of one object.

    Args:
        mu: (n_frames, latent_dims) means of the frames' posteriors, in time order.
        logvar: (n_frames, latent_dims) log-variances.

    Returns:
        float32 (n_statistics,), finite, in the order of `pooled_names`.
    """
    return np.nan_to_num(np.concatenate([np.ravel(value) for value in _statistics(mu, logvar).values()])).astype(
        np.float32
    )


@lru_cache
def pooled_names(latent_dims: int) -> list[str]:
    """Name of each column of `pool`: the statistic and its position."""
    example = np.random.default_rng(0).normal(size=(2, 3, latent_dims))
    return [f"{name}_{i}" for name, value in _statistics(*example).items() for i in range(np.size(value))]


def pool_all(mu: np.ndarray, logvar: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Statistics of several objects, (n_objects, n_statistics).

    Args:
        mu: (total_frames, latent_dims).
        logvar: (total_frames, latent_dims).
        offsets: (n_objects + 1,) first frame of each object.
    """
    return np.stack([pool(mu[a:b], logvar[a:b]) for a, b in itertools.pairwise(offsets)])


def _statistics(mu: np.ndarray, logvar: np.ndarray) -> dict[str, np.ndarray]:
    mean, std, middle = mu.mean(0), mu.std(0), np.median(mu, 0)
    scaled = (mu - mean) / (std + 1e-6)
    deviation = mu - middle
    robust = deviation / (1.4826 * np.median(np.abs(deviation), 0) + SMALLEST_DEVIATION)
    step = np.abs(np.diff(mu, axis=0)) if len(mu) > 1 else np.zeros_like(mu)
    half = len(mu) // 2
    upper = np.triu_indices(mu.shape[1], 1)
    found = {**_moments("mu", mu), **_moments("logvar", logvar)}
    found |= {"step_mean": step.mean(0), "step_max": step.max(0), "step_median": np.median(step, 0)}
    found |= {
        "correlation": (scaled.T @ scaled / len(mu))[upper],
        "logvar_covariance": np.atleast_2d(np.cov(logvar.T, bias=True))[np.triu_indices(mu.shape[1])],
        "outlying": (np.abs(robust) > OUTLYING).mean(0),
        "lag1": (scaled[1:] * scaled[:-1]).sum(0) / len(mu),
        "half_difference": mu[half:].mean(0) - (mu[:half].mean(0) if half else mean),
        "trend": np.linspace(-1, 1, len(mu)) @ deviation / len(mu),
    }
    divergence = 0.5 * (mu**2 + np.exp(logvar) - logvar - 1)
    distances = {
        "distance": _norm(deviation),
        "robust_distance": np.sqrt((robust**2).mean(1)),
        "norm": _norm(mu),
        "jump": _norm(step),
        "divergence": divergence.sum(1),
    }
    for name, value in distances.items():
        found |= {name: np.percentile(value, PERCENTILES), f"{name}_moments": np.array([value.mean(), value.std()])}
    found["divergence_mean"] = divergence.mean(0)
    # Which frames stand out, how they look, and whether they follow each other: a track is one frame, a ghost a whole night.
    for name in ("distance", "robust_distance"):
        found |= _outliers(name, distances[name], mu, deviation, logvar)
    return found | _local_contrast(mu, deviation) | _principal_axis(deviation)


def _moments(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    constant = values.std(0) < 1e-9
    with np.errstate(all="ignore"):
        skew = np.where(constant, 0, stats.skew(values, axis=0))
        kurtosis = np.where(constant, 0, stats.kurtosis(values, axis=0))
    moments = {"mean": values.mean(0), "std": values.std(0), "skew": skew, "kurtosis": kurtosis}
    moments["percentiles"] = np.percentile(values, PERCENTILES, axis=0)
    return {f"{name}_{moment}": value for moment, value in moments.items()}


def _outliers(
    name: str, distance: np.ndarray, mu: np.ndarray, deviation: np.ndarray, logvar: np.ndarray
) -> dict[str, np.ndarray]:
    top = np.resize(np.argsort(-distance)[:N_TOP], N_TOP)
    far = distance > 3 * np.median(distance)
    runs = np.count_nonzero(np.diff(np.append(False, far).astype(int)) == 1)
    n = len(distance)
    shape = [
        distance[top[0]] / (distance[top[1]] + 0.1),
        np.abs(np.diff(top)).min() / n,
        np.abs(top[1] - top[0]) / n,
        far.sum(),
        far.mean(),
        runs,
        far.sum() / max(runs, 1),
    ]
    return {
        f"{name}_top_mu": mu[top[:2]],
        f"{name}_top_deviation": deviation[top[0]],
        f"{name}_top_logvar": logvar[top[0]],
        f"{name}_top": distance[top],
        f"{name}_shape": np.array(shape),
    }


def _local_contrast(mu: np.ndarray, deviation: np.ndarray) -> dict[str, np.ndarray]:
    local = mu - median_filter(mu, size=(NEIGHBOURS, 1), mode="nearest")
    size = _norm(local)
    return {
        "local": np.percentile(size, PERCENTILES[5:]),
        "local_top": np.concatenate([local[size.argmax()], mu[size.argmax()]]),
        "local_share": (local**2).mean(0) / ((deviation**2).mean(0) + 1e-6),
    }


def _principal_axis(deviation: np.ndarray) -> dict[str, np.ndarray]:
    covariance = deviation.T @ deviation / len(deviation)
    sizes, axes = np.linalg.eigh(covariance + 1e-6 * np.eye(len(covariance)))
    along = deviation @ axes[:, -1]
    # The sign of an axis is arbitrary: the longer tail is positive.
    along = along * (np.sign((along**3).mean()) or 1) / (along.std() + 1e-6)
    constant = along.std() < 1e-6
    return {
        "covariance": covariance[np.triu_indices(len(covariance))],
        "log_eigenvalues": np.log(sizes.clip(1e-12)),
        "axis": np.abs(axes[:, -1]),
        "axis_percentiles": np.percentile(along, PERCENTILES[1:-1]),
        "axis_moments": np.zeros(2) if constant else np.array([stats.skew(along), stats.kurtosis(along)]),
    }


def _norm(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).sum(1))
