"""Frequency grids and the zones of a grid that the Earth's rotation and orbit spoil."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TERRESTRIAL_ZONES_PER_DAY = (
    (0.0025, 0.003), (0.00125, 0.0015), (0.000833, 0.001), (0.000625, 0.00075), (0.0005, 0.0006), (0.005, 0.006),
    (0.03, 0.04), (3.95, 4.05), (2.95, 3.05), (1.95, 2.05), (0.95, 1.05), (0.48, 0.52), (0.32, 0.34),
)  # fmt: skip


@dataclass(frozen=True)
class FrequencyGrid:
    """The frequencies spacing, 2 spacing, ..., count spacing.

    Starting at the spacing itself makes the k-th harmonic of an entry an entry too, so that a sum over harmonics is
    a strided slice.

    Attributes:
        spacing_per_day: Distance of two frequencies in cycles a day.
        count: Number of frequencies.
        first: Entries below this index have a period longer than is asked for and are not searched.
    """

    spacing_per_day: float
    count: int
    first: int = 0

    @classmethod
    def over(cls, baseline_d: float, max_per_day: float = 24.0, oversample: float = 10.0) -> FrequencyGrid:
        """The grid from two cycles over the baseline up to max_per_day in steps of 1 / (oversample x baseline)."""
        spacing = 1 / (oversample * max(baseline_d, 1e-3))
        count = max(int(max_per_day / spacing), 8)
        return cls(spacing, count, first=min(int(np.ceil(2 * oversample)) - 1, count - 4))

    @property
    def frequency_per_day(self) -> np.ndarray:
        """Frequencies in cycles a day, float64, shape (count,)."""
        return self.spacing_per_day * np.arange(1, self.count + 1)


def terrestrial(frequency_per_day: np.ndarray) -> np.ndarray:
    """True where a frequency lies in a zone spoilt by the day, the month or the year.

    The zones hold real variables as well (a fifth of long-period variables), so that nothing is excised by default.
    """
    low, high = np.array(TERRESTRIAL_ZONES_PER_DAY).T
    frequency = np.asarray(frequency_per_day)[..., None]
    return ((frequency > low) & (frequency < high)).any(-1)
