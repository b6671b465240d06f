"""Features of light curves resampled to a grid of bands and time steps without times, errors or redshifts."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from astro_lightning.data.bands import BANDS
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.feature_data import FeatureData, Table

REACH = 12
LAGS = (1, 2, 3, 5, 8)


class GridData(FeatureData):
    """Features of records with `flux_grid` (n, 6 bands * n_times)."""

    @classmethod
    def features(
        cls, records: Records, rows: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> Table:
        """Features of some objects."""
        flux = np.asarray(records.fixed["flux_grid"][rows], dtype=np.float64)
        return grid_features(flux.reshape(len(rows), len(BANDS), -1))


def grid_features(flux: np.ndarray) -> Table:
    """Features of fluxes (n, 6 bands, n_times): levels, shape about the peak, colours, periodicity, correlation of bands."""
    _n, n_bands, n_times = flux.shape
    top, low, middle = flux.max(2), flux.min(2), np.median(flux, axis=2)
    scatter, mean = flux.std(2), flux.mean(2)
    size = np.maximum(top, -low)
    summed = flux / np.maximum(scatter.mean(1), 1e-9)[:, None, None]
    main = summed[:, 1:5].mean(1)
    table: Table = {"log_scatter": np.log(scatter.mean(1) + 1e-6)}
    table |= _shape("all", main)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = (flux - mean[:, :, None]) / scatter[:, :, None]
        for b, band in enumerate(BANDS[:n_bands]):
            table |= _shape(band, flux[:, b])
            table[f"log_top_{band}"] = np.arcsinh(top[:, b])
            table[f"log_low_{band}"] = np.arcsinh(low[:, b])
            table[f"log_middle_{band}"] = np.arcsinh(middle[:, b])
            table[f"share_{band}"] = scatter[:, b] / scatter.sum(1)
            table[f"top_share_{band}"] = top[:, b] / size.sum(1)
            table[f"mean_{band}"] = mean[:, b] / scatter[:, b]
        for a, b in itertools.pairwise(range(n_bands)):
            name = BANDS[a] + BANDS[b]
            table[f"colour_scatter_{name}"] = np.log(scatter[:, a] / scatter[:, b])
            table[f"colour_top_{name}"] = np.log(np.maximum(top[:, a], 1) / np.maximum(top[:, b], 1))
            table[f"colour_low_{name}"] = np.log(np.maximum(-low[:, a], 1) / np.maximum(-low[:, b], 1))
        for a, b in itertools.combinations(range(n_bands), 2):
            table[f"correlation_{BANDS[a]}{BANDS[b]}"] = (normal[:, a] * normal[:, b]).mean(1)
    peak = main.argmax(1)
    at = peak[:, None] + np.arange(-REACH, REACH + 1)
    inside = (at >= 0) & (at < n_times)
    aligned = np.take_along_axis(flux, np.clip(at, 0, n_times - 1)[:, None], axis=2)
    height = np.take_along_axis(flux[:, 1:5].mean(1), peak[:, None], axis=1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        for b, band in enumerate(BANDS[:n_bands]):
            for k in range(-REACH, REACH + 1, 2):
                value = aligned[:, b, k + REACH] / height
                table[f"aligned_{band}_{k}"] = np.where(inside[:, k + REACH], np.clip(value, -5, 5), np.nan)
    return table


def _shape(name: str, curve: np.ndarray) -> Table:
    """Shape of one curve (n, n_times), free of its scale."""
    n_times = curve.shape[1]
    top, low, middle = curve.max(1), curve.min(1), np.median(curve, axis=1)
    scatter = curve.std(1)
    deviation = curve - curve.mean(1, keepdims=True)
    peak = curve.argmax(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = {
            f"skew_{name}": (deviation**3).mean(1) / scatter**3,
            f"kurtosis_{name}": (deviation**4).mean(1) / scatter**4,
            f"asymmetry_{name}": (top + low) / (top - low),
            f"level_{name}": (middle - low) / (top - low),
            f"rough_{name}": (np.diff(curve, axis=1) ** 2).mean(1) / scatter**2,
            f"bend_{name}": (np.diff(curve, 2, axis=1) ** 2).mean(1) / scatter**2,
            f"peak_{name}": peak.astype(float),
            f"trough_{name}": curve.argmin(1).astype(float),
            f"crossings_{name}": (np.diff(np.sign(deviation), axis=1) != 0).sum(1).astype(float),
            f"maxima_{name}": ((curve[:, 1:-1] > curve[:, :-2]) & (curve[:, 1:-1] > curve[:, 2:])).sum(1).astype(float),
            f"quiet_{name}": np.median(np.abs(curve - middle[:, None]), axis=1) / scatter,
        }
        for level in (0.8, 0.5, 0.2):
            below = curve < level * top[:, None]
            time = np.arange(n_times)
            before = np.where(below & (time < peak[:, None]), time, -1).max(1)
            after = np.where(below & (time > peak[:, None]), time, n_times).min(1)
            table[f"rise_{level}_{name}"] = np.where(before >= 0, peak - before, np.nan)
            table[f"fall_{level}_{name}"] = np.where(after < n_times, after - peak, np.nan)
            table[f"above_{level}_{name}"] = 1 - below.mean(1)
        for lag in LAGS:
            table[f"memory_{lag}_{name}"] = (deviation[:, lag:] * deviation[:, :-lag]).mean(1) / scatter**2
        power = np.abs(np.fft.rfft(deviation, axis=1))[:, 1:] ** 2
        share = power / power.sum(1, keepdims=True)
        table[f"frequency_{name}"] = (share * np.arange(1, share.shape[1] + 1)).sum(1)
        for k in range(5):
            table[f"power_{k + 1}_{name}"] = share[:, k]
    return table
