"""A padded batch of light curves: the one input of every statistic, fit and periodogram."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from astro_lightning.data.errors import BadInput


def check_observations(time_d: np.ndarray, mag: np.ndarray, mag_err: np.ndarray) -> None:
    """Whether all can be used: a single one that cannot would leave a curve without power or statistics, in silence.

    Raises:
        BadInput: A value is not finite, or an error not positive.
    """
    bad = ~(np.isfinite(time_d) & np.isfinite(mag) & np.isfinite(mag_err) & (mag_err > 0))
    if bad.any():
        raise BadInput(
            f"{bad.sum()} of {len(bad)} observations (first: number {bad.argmax()}) have no finite time and magnitude, "
            "or no finite error above 0: leave them out"
        )


@dataclass(frozen=True)
class LightCurves:
    """Light curves of different lengths, padded on the right; padding carries no weight.

    Attributes:
        time_d: Days since each curve's first observation, float64, ascending, shape (curves, points).
        mag: Magnitudes, float64, same shape; 0 where padded.
        mag_err: Errors of the magnitudes, float64, same shape; 1 where padded.
        valid: True where there is an observation, same shape.
    """

    time_d: Tensor
    mag: Tensor
    mag_err: Tensor
    valid: Tensor

    @classmethod
    def from_ragged(cls, mjd: np.ndarray, mag: np.ndarray, mag_err: np.ndarray, offsets: np.ndarray) -> LightCurves:
        """Pad curves stored end to end.

        Args:
            mjd: Times of all curves, shape (observations,); ascending within a curve. Float64: a float32 day number
                resolves a quarter of a day.
            mag: Magnitudes, shape (observations,).
            mag_err: Errors, shape (observations,).
            offsets: Curve i holds observations offsets[i] to offsets[i + 1], shape (curves + 1,).

        Raises:
            BadInput: A value is not finite, or an error not positive.
        """
        mjd, mag, mag_err, offsets = (np.asarray(values) for values in (mjd, mag, mag_err, offsets))
        length = np.diff(offsets)
        curves = len(length)
        curve = np.repeat(np.arange(curves), length)
        place = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], length)
        shape = (curves, int(length.max(initial=1)))
        taken = slice(int(offsets[0]), int(offsets[-1]))
        check_observations(mjd[taken], mag[taken], mag_err[taken])

        def padded(values: np.ndarray, fill: float) -> Tensor:
            out = np.full(shape, fill)
            out[curve, place] = values[taken]
            return torch.from_numpy(out)

        start = np.repeat(mjd[np.minimum(offsets[:-1], len(mjd) - 1)], length) if len(mjd) else mjd
        time_d = padded(np.concatenate([mjd[: taken.start], mjd[taken] - start]), 0.0)
        return cls(
            time_d, padded(mag, 0.0), padded(mag_err, 1.0), torch.arange(shape[1]) < torch.from_numpy(length)[:, None]
        )

    def __len__(self) -> int:
        return len(self.mag)

    def __getitem__(self, rows: slice | Tensor) -> LightCurves:
        return LightCurves(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: torch.device | str) -> LightCurves:
        """The same curves on another device."""
        return LightCurves(*(getattr(self, field.name).to(device) for field in fields(self)))

    @property
    def count(self) -> Tensor:
        """Observations in each curve, float64, shape (curves,)."""
        return self.valid.sum(1).double()

    @property
    def weight(self) -> Tensor:
        """Inverse variances, 0 where padded, shape (curves, points)."""
        return self.valid / self.mag_err.square()

    @property
    def baseline_d(self) -> Tensor:
        """Time between the first and the last observation in days, shape (curves,)."""
        return self.time_d.max(1).values
