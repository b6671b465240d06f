"""One token of real numbers for each observation, over all bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from astro_lightning.data.bands import wavelengths_nm
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.light_curves import LightCurves

LSST_WAVELENGTH_NM = tuple(wavelengths_nm("lsst").tolist())

N_FEATURES = 4
METADATA = ("photoz", "photoz_err", "mwebv", "ddf")
# typical sizes, so that each value reaches the network at order one
METADATA_UNIT = {"photoz_err": 0.1, "mwebv": 0.1}


def fit_flux_scale(flux_err: np.ndarray) -> float:
    """Flux scale of a survey: the median flux error of the training objects, in the unit of flux."""
    return float(np.median(flux_err))


@dataclass(frozen=True)
class ContinuousTokenizer:
    """Padded tensors of a batch of light curves.

    The four features are asinh(f / s), asinh(f / sigma), ln(sigma / s) and detected. The scale s is one number for
    the whole survey, so that the amplitude of an object stays visible. Absolute time is no input: it tells the
    observing season, not the class.

    Args:
        flux_scale: s, in the unit of flux; see `fit_flux_scale`.
        wavelength_nm: effective wavelength of each band.
        origin: time zero of an object: `detection` (its first detection, or the highest signal-to-noise ratio where
            nothing is detected) or `peak` (the highest signal-to-noise ratio).
        shift_days: in training the origin moves by a uniform random number of days of at most this size.
        metadata: metadata columns, in the order of the output; a column the records lack is unknown.
        metadata_dropout: in training each known value is hidden with this probability, and with the same probability
            all values of an object are, so that one checkpoint works with and without them.
    """

    flux_scale: float
    wavelength_nm: Sequence[float] = LSST_WAVELENGTH_NM
    origin: str = "detection"
    shift_days: float = 0.0
    metadata: Sequence[str] = METADATA
    metadata_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.origin not in ("detection", "peak"):
            raise BadInput(f"origin: {self.origin!r} is unknown; use detection or peak")
        if not self.flux_scale > 0:
            raise BadInput(f"flux_scale: {self.flux_scale} is not positive; fit it on the training objects")

    def __call__(
        self, curves: LightCurves, metadata: Mapping[str, np.ndarray], rng: np.random.Generator | None = None
    ) -> dict[str, torch.Tensor]:
        """Tokens of B objects, padded to the longest.

        Args:
            curves: light curves.
            metadata: (B,) columns, NaN = unknown.
            rng: source of the random shift and dropout; None in evaluation, when there is neither.

        Returns:
            features (B, L, 4) float32, time (B, L) float32 days since the origin, band (B, L) int64, wavelength_nm
            (B, L) float32, mask (B, L) bool (true = an observation), metadata (B, M) float32, metadata_known (B, M)
            bool.

        Raises:
            BadInput: an error is not positive, a flux is not finite or a band has no wavelength.
        """
        self._check(curves)
        owner = curves.owner
        origin = curves.mjd_of_first_detection() if self.origin == "detection" else curves.mjd_of_highest_snr()
        if rng is not None:
            origin = origin + rng.uniform(-self.shift_days, self.shift_days, len(curves))
        scaled_flux, scaled_err = curves.flux / self.flux_scale, curves.flux_err / self.flux_scale
        features = np.stack(
            (np.arcsinh(scaled_flux), np.arcsinh(curves.snr), np.log(scaled_err), curves.detected),
            axis=1,
            dtype=np.float32,
        )
        wavelength_nm = np.asarray(self.wavelength_nm, dtype=np.float32)
        columns = {
            "features": features,
            "time": (curves.mjd - origin[owner]).astype(np.float32),
            "band": curves.band.astype(np.int64),
            "wavelength_nm": wavelength_nm[curves.band],
            "mask": np.ones(len(owner), dtype=bool),
        }
        batch = {name: torch.from_numpy(pad(column, curves)) for name, column in columns.items()}
        value, known = self._metadata(metadata, len(curves), rng)
        return batch | {"metadata": torch.from_numpy(value), "metadata_known": torch.from_numpy(known)}

    def _metadata(
        self, metadata: Mapping[str, np.ndarray], n_objects: int, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        unknown = np.full(n_objects, np.nan)
        columns = [
            np.asarray(metadata.get(name, unknown), np.float32) / METADATA_UNIT.get(name, 1) for name in self.metadata
        ]
        value = np.stack(columns, axis=1).astype(np.float32) if columns else np.empty((n_objects, 0), np.float32)
        known = np.isfinite(value)
        if rng is not None:
            known &= rng.random(value.shape) >= self.metadata_dropout
            known &= rng.random((n_objects, 1)) >= self.metadata_dropout
        return np.where(known, value, np.float32(0)), known

    def _check(self, curves: LightCurves) -> None:
        bad = ~(np.isfinite(curves.flux) & np.isfinite(curves.flux_err) & (curves.flux_err > 0))
        if bad.any():
            raise BadInput(
                f"object {curves.owner[bad][0]} of the batch: flux not finite or flux_err not positive; drop them"
            )
        if len(curves.band) and not 0 <= curves.band.min() <= curves.band.max() < len(self.wavelength_nm):
            raise BadInput(
                f"band: {curves.band.max()} has no wavelength; give wavelength_nm for every band of the survey"
            )


def pad(values: np.ndarray, curves: LightCurves) -> np.ndarray:
    """Ragged (N, ...) values of `curves` as (B, L, ...) up to the longest length (at least 1), 0 where nothing is."""
    longest = max(1, int(curves.lengths.max(initial=0)))
    padded = np.zeros((len(curves), longest, *values.shape[1:]), dtype=values.dtype)
    padded[curves.owner, curves.position] = values
    return padded
