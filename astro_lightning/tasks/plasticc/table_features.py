"""Features derived from tables of light-curve statistics: luminosities, colours and ratios that trees cannot form themselves."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from astro_lightning.data.bands import BANDS, wavelengths_nm
from astro_lightning.data.light_curves import FLUX_ZERO_POINT
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.plasticc_features import STATISTICS
from astro_lightning.tasks.plasticc.feature_data import FeatureData, Table
from astro_lightning.tasks.plasticc.process_features import distance_modulus
from astro_lightning.tasks.plasticc.tokenizer_continuous import METADATA

REST_NM = (220.0, 280.0, 350.0, 430.0, 520.0, 620.0, 750.0)
BRIGHTNESS = ("amplitude", "maximum", "std", "weighted_average")


class TableData(FeatureData):
    """Features of records with `statistics` (n, 66), see `surveys.plasticc_features`."""

    @classmethod
    def features(
        cls, records: Records, rows: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> Table:
        """Features of some objects."""
        metadata = {name: records.column(name, np.nan).astype(np.float64)[rows] for name in METADATA}
        return table_features(by_name(records.fixed["statistics"][rows]), metadata)


def by_name(statistics: np.ndarray) -> dict[str, np.ndarray]:
    """Name of a statistic -> (n, 6) of ugrizy, from rows of the reader's column `statistics` (n, 66)."""
    values = np.asarray(statistics, dtype=np.float64).reshape(len(statistics), len(STATISTICS), len(BANDS))
    return {name: values[:, i] for i, name in enumerate(STATISTICS)}


def table_features(statistics: Mapping[str, np.ndarray], metadata: Mapping[str, np.ndarray]) -> Table:
    """Features of n objects.

    Args:
        statistics: Name -> (n, 6) of ugrizy.
        metadata: `photoz`, `photoz_err`, `mwebv`, `ddf` (n,).
    """
    photoz = metadata["photoz"]
    redshift = np.where(photoz > 0, np.clip(photoz, 0.003, 5.0), np.nan)
    stretch = 1 + np.nan_to_num(redshift)
    modulus = distance_modulus(redshift)
    table: Table = {f"meta_{name}": values for name, values in metadata.items()}
    table["meta_relative_err"] = metadata["photoz_err"] / stretch
    s = statistics
    half = np.log(np.maximum(s["amplitude"], 1e-6))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = {
            "peak": (s["maximum"] - s["median"]) / s["std"],
            "trough": (s["minimum"] - s["median"]) / s["std"],
            "asymmetry": (s["maximum"] + s["minimum"] - 2 * s["median"]) / s["amplitude"],
            "level": s["median"] / s["std"],
            "average": s["weighted_average"] / s["std"],
            "offset": (s["weighted_average"] - s["median"]) / s["std"],
            "quiet": s["median_absolute_deviation"] / s["std"],
            "rate": np.log(np.abs(s["max_slope"]) / s["amplitude"] * stretch[:, None]),
            "noise": np.log(np.abs(s["minimum"]) / s["maximum"]),
            "above_noise": np.log(np.maximum(s["maximum"], 1e-3) / s["median_absolute_deviation"]),
        }
        brightness = {
            name: np.log(np.maximum(s[name], 1e-2)) * -2.5 / np.log(10) + FLUX_ZERO_POINT for name in BRIGHTNESS
        }
    for b, band in enumerate(BANDS):
        for name in STATISTICS:
            table[f"{name}_{band}"] = s[name][:, b]
        for name, values in ratios.items():
            table[f"{name}_{band}"] = values[:, b]
        for name in ("amplitude", "maximum"):
            table[f"absolute_{name}_{band}"] = brightness[name][:, b] - modulus
        table[f"share_{band}"] = half[:, b] - half.mean(1)
    for a, b in itertools.pairwise(range(len(BANDS))):
        for name, values in brightness.items():
            table[f"colour_{name}_{BANDS[a]}{BANDS[b]}"] = values[:, a] - values[:, b]
    for name in ("amplitude", "maximum", "std"):
        for a, b in ((0, 2), (1, 3), (1, 5), (2, 4), (0, 5)):
            table[f"colour_{name}_{BANDS[a]}{BANDS[b]}"] = brightness[name][:, a] - brightness[name][:, b]
    for name, values in ratios.items():
        known = np.ma.masked_invalid(values[:, 1:5])
        table[f"mean_{name}"], table[f"spread_{name}"] = known.mean(1).filled(np.nan), known.std(1).filled(np.nan)
    for name in ("skew", "percent_beyond_1_std", "percent_close_to_median"):
        table[f"mean_{name}"], table[f"most_{name}"] = s[name][:, 1:5].mean(1), s[name].max(1)
    for name in ("amplitude", "maximum"):
        table |= _rest_frame(name, brightness[name], redshift, modulus)
    return table


def _rest_frame(name: str, magnitude: np.ndarray, redshift: np.ndarray, modulus: np.ndarray) -> Table:
    """Absolute magnitudes and colours at fixed rest-frame wavelengths, interpolated between the bands."""
    log_nm = np.log(wavelengths_nm("lsst"))
    at = np.log(REST_NM) + np.log1p(redshift)[:, None]
    place = np.clip(np.searchsorted(log_nm, np.nan_to_num(at)) - 1, 0, len(log_nm) - 2)
    share = (at - log_nm[place]) / (log_nm[place + 1] - log_nm[place])
    low, high = (np.take_along_axis(magnitude, place + k, axis=1) for k in (0, 1))
    rest = np.where((share > -0.3) & (share < 1.3), low + share * (high - low), np.nan) - modulus[:, None]
    table = {f"absolute_{name}_{nm:.0f}nm": rest[:, i] for i, nm in enumerate(REST_NM)}
    for i in range(1, len(REST_NM)):
        table[f"colour_{name}_{REST_NM[i]:.0f}nm"] = rest[:, i - 1] - rest[:, i]
    return table
