"""Multi-band light curves of a batch of objects as ragged columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from astro_lightning.data.records import Records

COLUMNS = ("mjd", "band", "flux", "flux_err", "detected")


@dataclass(frozen=True, slots=True)
class LightCurves:
    """Light curves of B objects; object i owns the observations ``offsets[i]:offsets[i + 1]``.

    Attributes:
        mjd: (N,) float64 days, ascending within an object.
        band: (N,) integer band index.
        flux: (N,) float32.
        flux_err: (N,) float32, positive, in the unit of flux.
        detected: (N,) bool.
        offsets: (B + 1,) int64, starting with 0.
    """

    mjd: np.ndarray
    band: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    detected: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, records: Records, rows: np.ndarray) -> LightCurves:
        """Light curves of these rows."""
        taken = {name: records.ragged[name].take(rows) for name in COLUMNS}
        return cls(offsets=taken["mjd"][1], **{name: values for name, (values, _) in taken.items()})

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(B,) number of observations of each object."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> np.ndarray:
        """(N,) index of the object each observation belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def position(self) -> np.ndarray:
        """(N,) place of each observation within its object, from 0."""
        return np.arange(len(self.mjd)) - np.repeat(self.offsets[:-1], self.lengths)

    @property
    def snr(self) -> np.ndarray:
        """(N,) float64 flux over its error."""
        return self.flux.astype(np.float64) / self.flux_err

    def with_columns(self, **columns: np.ndarray) -> LightCurves:
        """The same observations with some columns replaced, each cast to the type it had."""
        cast: dict[str, Any] = {
            name: np.asarray(new).astype(getattr(self, name).dtype) for name, new in columns.items()
        }
        return replace(self, **cast)

    def keep(self, kept: np.ndarray) -> LightCurves:
        """Only the observations where `kept` (N,) is true; every object stays, if need be without any."""
        return self._gather(np.flatnonzero(kept), np.bincount(self.owner[kept], minlength=len(self)))

    def take(self, rows: np.ndarray) -> LightCurves:
        """Objects `rows` in that order; a row may be asked for more than once."""
        lengths = self.lengths[rows]
        starts = np.cumsum(lengths) - lengths
        return self._gather(np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - starts, lengths), lengths)

    def by_band(self, n_bands: int) -> LightCurves:
        """One light curve for each object and band: row ``i * n_bands + b`` is band b of object i."""
        key = self.owner * n_bands + self.band
        return self._gather(np.argsort(key, kind="stable"), np.bincount(key, minlength=len(self) * n_bands))

    def mjd_of_highest_snr(self) -> np.ndarray:
        """(B,) time of the highest signal-to-noise ratio, the earliest of equals; inf without observations."""
        owner, snr = self.owner, self.snr
        highest = np.full(len(self), -np.inf)
        np.maximum.at(highest, owner, snr)
        return self._earliest(snr == highest[owner])

    def mjd_of_first_detection(self) -> np.ndarray:
        """(B,) time of the first detection, or of the highest signal-to-noise ratio where nothing is detected."""
        first = self._earliest(self.detected)
        return np.where(np.isinf(first), self.mjd_of_highest_snr(), first)

    def _earliest(self, which: np.ndarray) -> np.ndarray:
        earliest = np.full(len(self), np.inf)
        np.minimum.at(earliest, self.owner[which], self.mjd[which])
        return earliest

    def _gather(self, index: np.ndarray, lengths: np.ndarray) -> LightCurves:
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        return LightCurves(offsets=offsets, **{name: getattr(self, name)[index] for name in COLUMNS})
