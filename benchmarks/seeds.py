"""What several seeds say together."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student


def over_seeds(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and half width of its 95% interval (Student's t); NaN of one value, which shows no scatter."""
    n = len(values)
    half = student.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return float(np.mean(values)), float(half)
