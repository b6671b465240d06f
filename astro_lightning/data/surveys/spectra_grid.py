"""The common wavelength grid of spectra, flux-conserving resampling to it, and the table of records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

N_PIXELS, START_A, STEP_A = 2600, 3800.0, 2.0
WAVELENGTH_A = START_A + STEP_A * np.arange(N_PIXELS)
# A bin with less than half of its width measured is marked bad.
MIN_COVERED = 0.5
# Beyond this a value is a placeholder in any unit (1e30, 9.97e36), and its square is no float32.
LARGEST_FLUX = 1e18


def pixel_edges(wavelength_a: NDArray[np.floating]) -> NDArray[np.float64]:
    """Edges (L + 1,) of pixels with these ascending centres (L,), half way between neighbours."""
    middle = 0.5 * (wavelength_a[1:] + wavelength_a[:-1])
    first, last = 2 * wavelength_a[0] - middle[0], 2 * wavelength_a[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def resample(wavelength_a: ArrayLike, flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats, Floats]:
    """Resample spectra to 3800 + 2 i A so that the integral of the flux density over each bin is kept.

    Args:
        wavelength_a: (L,) centres in vacuum Angstrom, any order; values that are not positive are left out.
        flux: (..., L) per Angstrom.
        ivar: (..., L); 0 = bad pixel, which takes no part where a bin has good ones.

    Returns:
        Flux (..., 2600), NaN where the input does not reach, and inverse variance (..., 2600), 0 where it is bad. Its sum is
        the input's: bins that share a pixel share what it tells, so that one of them alone scatters by less than it says.
    """
    wave = np.asarray(wavelength_a, np.float64)
    values, weight = np.atleast_2d(np.asarray(flux, np.float64)), np.atleast_2d(np.asarray(ivar, np.float64))
    usable = np.flatnonzero(np.isfinite(wave) & (wave > 0))
    order = usable[np.argsort(wave[usable], kind="stable")]
    order = order[np.concatenate([[True], np.diff(wave[order]) > 0])]
    wave, values, weight = wave[order], values[:, order], weight[:, order]
    edges = pixel_edges(wave)
    width = np.diff(edges)
    target = pixel_edges(WAVELENGTH_A)
    finite = np.isfinite(values)
    good = finite & np.isfinite(weight) & (weight > 0)
    variance = np.where(good, 1 / np.where(good, weight, 1), 0)

    # Position of each target edge in the input, in pixels; the integral up to it is linear inside a pixel.
    position = np.interp(target, edges, np.arange(len(edges)))
    left = np.minimum(position.astype(np.int64), len(width) - 1)
    part = position - left

    def integral(density: NDArray[np.float64]) -> NDArray[np.float64]:
        step = density * width
        total = np.concatenate([np.zeros((len(step), 1)), np.cumsum(step, axis=1)], axis=1)
        return np.diff(total[:, left] + part * step[:, left], axis=1)

    clean = np.where(finite, values, 0)
    measured, seen = integral(good.astype(np.float64)), integral(finite.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(measured > 0, integral(clean * good) / measured, integral(clean) / seen)
        spread = integral(variance * width) / measured**2
        out = np.where(seen > MIN_COVERED * STEP_A, mean, np.nan)
        out_ivar = np.where((measured > MIN_COVERED * STEP_A) & (spread > 0), 1 / spread, 0)
    shape = (*np.shape(flux)[:-1], N_PIXELS)
    return out.astype(np.float32).reshape(shape), out_ivar.astype(np.float32).reshape(shape)


def signal_to_noise(flux: Floats, ivar: Floats) -> Floats:
    """Median signal-to-noise ratio per pixel over good pixels: (n, 2600) twice -> (n,), NaN where none is good."""
    ratio = np.where((ivar > 0) & np.isfinite(flux), flux * np.sqrt(np.maximum(ivar, 0)), np.nan)
    some = np.isfinite(ratio).any(axis=1)
    result = np.full(len(flux), np.nan, np.float32)
    if some.any():
        result[some] = np.nanmedian(ratio[some], axis=1)
    return result


def spectra_table(
    flux: Floats,
    ivar: Floats,
    columns: Mapping[str, Sequence[Any] | NDArray[Any] | pa.Array],
    errors_known: bool = True,
) -> pa.Table:
    """Records of spectra on the common grid.

    Args:
        flux: (n, 2600), NaN = not covered; LARGEST_FLUX or more is taken for that.
        ivar: (n, 2600), 0 = bad.
        columns: `id` and what else is known of each object: label, group, survey, subclass, z, zwarning, snr, ra, dec.
        errors_known: False where `ivar` only tells usable pixels (1) from bad ones.

    Returns:
        The columns, `snr` measured where it is not given (NaN where errors are not known), and `flux`, `ivar` and `mask`
        (1 = usable) as fixed-size lists.
    """
    flux = np.where(np.abs(flux) < LARGEST_FLUX, flux, np.nan)
    ivar = np.where(np.isfinite(flux) & np.isfinite(ivar), np.maximum(ivar, 0), 0).astype(np.float32)
    n = len(flux)
    given = {name: pa.array(values) if not isinstance(values, pa.Array) else values for name, values in columns.items()}
    snr = (
        np.asarray(given["snr"].to_numpy(zero_copy_only=False), np.float32)
        if "snr" in given
        else np.full(n, np.nan, np.float32)
    )
    unknown = ~np.isfinite(snr)
    if unknown.any() and errors_known:
        snr = np.where(unknown, signal_to_noise(flux, ivar), snr).astype(np.float32)
    lists: dict[str, NDArray[Any]] = {
        "flux": np.ascontiguousarray(flux, np.float32),
        "ivar": ivar,
        "mask": (ivar > 0).astype(np.uint8),
    }
    return pa.table(
        {
            **given,
            "snr": pa.array(snr),
            **{k: pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), N_PIXELS) for k, v in lists.items()},
        }
    )
