"""Bootstrap intervals of a test metric, over objects or over groups of objects."""

import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

LEVEL = 0.95  # coverage of an interval


def bootstrap(
    metric_fn: Callable[..., float | np.ndarray],
    arrays: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of a metric under resampling with replacement (Efron 1979).

    The interval covers the choice of test objects only, not the scatter between training seeds.

    Args:
        metric_fn: Called as `metric_fn(*arrays)` with resampled arrays; gives a number or an array of numbers.
        arrays: Arrays that share their first axis, the rows.
        groups: (rows,) what belongs together (source, field); whole groups are then drawn instead of rows.
        n: Number of resamples.
        seed: Same seed, same interval.

    Returns:
        Lower and upper bound, shaped like the metric. NaN where fewer than two rows or groups exist, or where
        no resample gives a finite value.
    """
    rows = len(arrays[0])
    values = np.stack(
        [np.asarray(metric_fn(*(a[take] for a in arrays)), dtype=float) for take in _resamples(rows, groups, n, seed)]
    )
    if (rows if groups is None else len(np.unique(groups))) < 2:
        values[:] = np.nan
    tail = (1 - LEVEL) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a metric that no resample defines stays NaN
        low, high = np.nanquantile(np.where(np.isfinite(values), values, np.nan), [tail, 1 - tail], axis=0)
    return low, high


def _resamples(rows: int, groups: np.ndarray | None, n: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(n):
            yield rng.integers(rows, size=rows)
        return
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(member, kind="stable")
    start = np.cumsum(size) - size
    for _ in range(n):
        drawn = rng.integers(len(size), size=len(size))
        length = size[drawn]
        shift = start[drawn] - (np.cumsum(length) - length)
        yield by_group[np.repeat(shift, length) + np.arange(length.sum())]
