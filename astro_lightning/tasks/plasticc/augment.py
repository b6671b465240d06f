"""Changes to light curves that keep their class, for the training objects only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astro_lightning.tasks.plasticc.extinction import extinction_law
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.redshift_shift import draw_redshift, shift_redshift
from astro_lightning.tasks.plasticc.tokenizer_continuous import LSST_WAVELENGTH_NM

SEASON_GAP_DAYS = 60.0
DETECTION_SNR = 5.0
SMALLEST_PHOTOZ = 1e-3

Metadata = dict[str, np.ndarray]


@dataclass(frozen=True)
class Augment:
    """Random changes to a batch of light curves and its metadata; a strength of 0 leaves the step out.

    Args:
        redshift: strength of the move to another redshift (see `redshift_shift`), of half the objects of known
            redshift.
        season: probability of dropping one observing season.
        truncate: probability of ending the light curve early.
        degrade: largest relative increase of the flux errors; each object gets its own, evenly from 0 up.
        extinction: standard deviation of the error of mwebv, relative to it.
        photoz: standard deviation of the change of photoz, in units of photoz_err.
        redshift_column: metadata column that is moved from; `photoz`, or a spectroscopic redshift where one may be
            used.
        wavelength_nm: effective wavelength of each band.
    """

    redshift: float = 0.0
    season: float = 0.0
    truncate: float = 0.0
    degrade: float = 0.0
    extinction: float = 0.0
    photoz: float = 0.0
    redshift_column: str = "photoz"
    wavelength_nm: Sequence[float] = LSST_WAVELENGTH_NM

    def __call__(
        self, curves: LightCurves, metadata: Mapping[str, np.ndarray], rng: np.random.Generator
    ) -> tuple[LightCurves, Metadata]:
        """Changed copies of B light curves and their (B,) metadata columns."""
        metadata = dict(metadata)
        if self.redshift:
            curves, metadata = self._move(curves, metadata, rng)
        if self.season:
            curves = drop_season(curves, rng, self.season)
        if self.truncate:
            curves = truncate(curves, rng, self.truncate)
        if self.degrade:
            curves = degrade(curves, rng, self.degrade)
        if self.extinction and "mwebv" in metadata:
            law = extinction_law(np.asarray(self.wavelength_nm))
            curves = jitter_extinction(curves, metadata["mwebv"], rng, self.extinction, law)
        if self.photoz and {"photoz", "photoz_err"} <= metadata.keys():
            metadata["photoz"] = jitter_photoz(metadata["photoz"], metadata["photoz_err"], rng, self.photoz)
        return curves, metadata

    def _move(self, curves: LightCurves, metadata: Metadata, rng: np.random.Generator) -> tuple[LightCurves, Metadata]:
        z = metadata.get(self.redshift_column)
        if z is None:
            return curves, metadata
        chosen = np.where(rng.random(len(z)) < 0.5, z, np.nan)
        new_z = draw_redshift(chosen, rng, self.redshift)
        curves, moved = shift_redshift(curves, chosen, new_z, rng, self.wavelength_nm, detection_snr=DETECTION_SNR)
        stretch = np.where(moved, (1 + new_z) / (1 + z), 1.0)
        for name in {"photoz", self.redshift_column} & metadata.keys():
            metadata[name] = np.where(moved, (1 + metadata[name]) * stretch - 1, metadata[name])
        if "photoz_err" in metadata:
            metadata["photoz_err"] = metadata["photoz_err"] * stretch
        return curves, metadata


def drop_season(curves: LightCurves, rng: np.random.Generator, probability: float) -> LightCurves:
    """Drop one random observing season of each object with `probability`.

    Gaps over 60 days part seasons. The season of the highest signal-to-noise ratio stays: without it a transient is
    noise.
    """
    owner = curves.owner
    begins = np.diff(curves.mjd, prepend=-np.inf) > SEASON_GAP_DAYS
    begins |= curves.position == 0
    season = np.cumsum(begins) - 1
    n_seasons = np.bincount(owner[begins], minlength=len(curves))
    first_season = np.cumsum(n_seasons) - n_seasons
    dropped = first_season + rng.integers(0, np.maximum(n_seasons, 1))
    dropped[rng.random(len(curves)) >= probability] = -1
    brightest = season[curves.mjd == curves.mjd_of_highest_snr()[owner]]
    dropped[np.isin(dropped, brightest)] = -1
    return curves.keep(season != dropped[owner])


def truncate(curves: LightCurves, rng: np.random.Generator, probability: float) -> LightCurves:
    """End each light curve with `probability` at a random time between its first detection and its last observation."""
    owner = curves.owner
    first = curves.mjd_of_first_detection()
    last = np.full(len(curves), -np.inf)
    np.maximum.at(last, owner, curves.mjd)
    empty = curves.lengths == 0
    end = np.where(empty, 0.0, first) + rng.random(len(curves)) * np.where(
        empty, 0.0, last - np.where(empty, 0.0, first)
    )
    end[rng.random(len(curves)) >= probability] = np.inf
    return curves.keep(curves.mjd <= end[owner])


def end_early(curves: LightCurves, rng: np.random.Generator) -> LightCurves:
    """End every light curve some days after its first detection, evenly in the logarithm from one day to its last day."""
    first = curves.mjd_of_first_detection()
    last = np.full(len(curves), -np.inf)
    np.maximum.at(last, curves.owner, curves.mjd)
    days = np.maximum(np.where(curves.lengths, last, 1.0) - np.where(curves.lengths, first, 0.0), 1.0)
    end = first + days ** rng.random(len(curves))
    return curves.keep(curves.mjd <= end[curves.owner])


def degrade(curves: LightCurves, rng: np.random.Generator, strength: float) -> LightCurves:
    """Add noise so that the flux errors of an object grow by a factor drawn evenly from 1 to 1 + `strength`.

    What was detected stays detected only while its signal-to-noise ratio is above 5.
    """
    factor = (1 + strength * rng.random(len(curves)))[curves.owner]
    err = curves.flux_err.astype(np.float64)
    flux = curves.flux + rng.normal(size=len(err)) * err * np.sqrt(factor**2 - 1)
    return curves.with_columns(
        flux=flux, flux_err=err * factor, detected=curves.detected & (flux > DETECTION_SNR * err * factor)
    )


def jitter_extinction(
    curves: LightCurves, mwebv: np.ndarray, rng: np.random.Generator, strength: float, law: np.ndarray
) -> LightCurves:
    """Redden or deredden by an error of mwebv of relative size `strength`; unknown mwebv changes nothing."""
    error = np.where(np.isfinite(mwebv), mwebv, 0.0) * strength * rng.normal(size=len(curves))
    factor = 10 ** (-0.4 * law[curves.band] * error[curves.owner])
    return curves.with_columns(flux=curves.flux * factor, flux_err=curves.flux_err * factor)


def jitter_photoz(photoz: np.ndarray, photoz_err: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Photo-z moved by a normal draw of `strength` errors, at least 0.001; zero (Galactic) and unknown stay."""
    known = (photoz > 0) & np.isfinite(photoz_err)
    moved = photoz + strength * photoz_err * rng.normal(size=len(photoz))
    return np.where(known, np.maximum(moved, SMALLEST_PHOTOZ), photoz)
