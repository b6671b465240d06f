"""Hand features of light curves: a table with one row per object, NaN where the data do not constrain a feature."""

import itertools
from collections.abc import Mapping

import numpy as np

from astro_lightning.data.bands import BANDS
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.process_features import asinh_magnitude, distance_modulus, process_features
from astro_lightning.tasks.plasticc.pulse_fit import PulseFit

N_BANDS = len(BANDS)
# Rest-frame days from the peak of the pulse; the binned shape and colours between them.
PHASE_EDGES = (-40.0, -20.0, -10.0, -3.0, 4.0, 12.0, 22.0, 35.0, 55.0, 90.0, 150.0)
LAG_EDGES_DAYS = (0.0, 4.0, 12.0, 40.0, 120.0, 400.0)

Table = dict[str, np.ndarray]


def light_curve_features(curves: LightCurves, metadata: Mapping[str, np.ndarray], wavelength_nm: np.ndarray) -> Table:
    """All features of N objects.

    Args:
        curves: Fluxes of zero-point 27.5, free of the Galaxy's dust, bands 0..5 = ugrizy.
        metadata: (N,) columns `photoz`, `photoz_err`, `ddf`, NaN = unknown, those that are there. Features that
            need a distance are NaN where photoz is unknown; a photoz of 0 (Galactic) has none either.
        wavelength_nm: (6,) effective wavelengths, NaN for a band the survey lacks: no feature has its name.

    Returns:
        Name -> (N,) float64; names follow from `wavelength_nm` alone. The prefix says the group: `pulse_` (a pulse fitted
        to all bands), `bins_` (means in bins of phase), `process_` (Gaussian process), `curve_` (variability without a
        model), `meta_`.
    """
    unknown = np.full(len(curves), np.nan)
    given = {name: np.asarray(metadata.get(name, unknown), np.float64) for name in ("photoz", "photoz_err", "ddf")}
    error = np.hypot(curves.flux_err.astype(np.float64), 0.03 * curves.flux)
    redshift = np.where(given["photoz"] > 0, np.clip(given["photoz"], 0.003, 5.0), np.nan)
    bands = np.flatnonzero(np.isfinite(wavelength_nm))
    fit = PulseFit(curves, error, N_BANDS)
    table = {f"meta_{name}": values for name, values in given.items()}
    table |= _prefixed("pulse", _pulse(fit, redshift, bands))
    table |= _prefixed("bins", _bins(curves, error, fit, redshift, bands))
    table |= _prefixed("curve", _variability(curves, error, fit, redshift, bands))
    table |= _prefixed("process", process_features(curves, redshift, wavelength_nm))
    # How much of what a flexible process explains, one pulse explains: little in an active nucleus.
    table["pulse_share"] = table["pulse_gain"] - table["process_likelihood"]
    return table


def _prefixed(group: str, table: Table) -> Table:
    return {f"{group}_{name}": values for name, values in table.items()}


def _pulse(fit: PulseFit, redshift: np.ndarray, bands: np.ndarray) -> Table:
    stretch = np.log1p(np.nan_to_num(redshift))
    seen = fit.amplitude_err < 1e4
    soft, flux = np.where(seen, fit.amplitude_err, np.nan), np.where(seen, fit.amplitude, np.nan)
    magnitude = asinh_magnitude(flux, soft)
    absolute = magnitude - distance_modulus(redshift)[:, None]
    snr = np.log(np.maximum(flux / soft, 0.1))
    table = {
        "rise": fit.log_rise - stretch,
        "rise_sd": fit.log_rise_sd,
        "fall": fit.log_fall - stretch,
        "fall_sd": fit.log_fall_sd,
        "gain": np.log1p(fit.gain),
        "brightest": np.nanmin(np.where(np.isnan(magnitude), 99.0, magnitude), axis=1),
    }
    own = fit.band_gain > 25
    for b in bands:
        name = BANDS[b]
        table |= {f"absolute_{name}": absolute[:, b], f"snr_{name}": snr[:, b]}
        for what, value in (("rise", fit.band_rise), ("fall", fit.band_fall)):
            table[f"{what}_{name}"] = np.where(own[:, b], value[:, b] - stretch, np.nan)
        table[f"shift_{name}"] = np.where(own[:, b], fit.band_shift[:, b] / np.exp(stretch), np.nan)
    for blue, red in itertools.pairwise(bands):
        table[f"colour_{BANDS[blue]}{BANDS[red]}"] = magnitude[:, blue] - magnitude[:, red]
    return table


def _bins(curves: LightCurves, error: np.ndarray, fit: PulseFit, redshift: np.ndarray, bands: np.ndarray) -> Table:
    """Flux over the pulse's amplitude, and colours, in bins of phase."""
    phase = (curves.mjd - fit.peak[curves.owner]) / (1 + np.nan_to_num(redshift))[curves.owner]
    place = np.digitize(phase, PHASE_EDGES)
    weight = error**-2
    sure = fit.amplitude > 3 * fit.amplitude_err
    table = {}
    for k, edge in enumerate(PHASE_EDGES[:-1]):
        mine = place == k + 1
        precision = _by_band(curves, np.where(mine, weight, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            level, level_err = _by_band(curves, np.where(mine, weight * curves.flux, 0)) / precision, precision**-0.5
            ratio = np.where(sure & (level_err < 0.25 * fit.amplitude), level / fit.amplitude, np.nan)
            magnitude = np.where(level > 3 * level_err, asinh_magnitude(level, level_err), np.nan)
        for b in bands:
            table[f"shape_{BANDS[b]}_{edge:.0f}"] = ratio[:, b]
        for blue, red in itertools.pairwise(bands):
            table[f"colour_{BANDS[blue]}{BANDS[red]}_{edge:.0f}"] = magnitude[:, blue] - magnitude[:, red]
    return table


def _variability(
    curves: LightCurves, error: np.ndarray, fit: PulseFit, redshift: np.ndarray, bands: np.ndarray
) -> Table:
    """Scatter, structure function, activity away from the pulse, times of detections."""
    owner, n = curves.owner, len(curves)
    stretch = (1 + np.nan_to_num(redshift))[owner]
    flux, snr = curves.flux.astype(np.float64), curves.flux / error
    phase = (curves.mjd - fit.peak[owner]) / stretch
    table = {}

    def mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        count = np.bincount(owner, where, n)
        return np.where(count > 0, np.bincount(owner, np.where(where, values, 0), n) / np.maximum(count, 1), np.nan)

    pull = ((flux - fit.model) / error) ** 2
    for name, low, high in (("before", -1e9, -60), ("near", -60, 100), ("after", 100, 300), ("late", 300, 1e9)):
        where = (phase >= low) & (phase < high)
        count = np.bincount(owner, where, n)
        table[f"chi2_{name}"] = np.log1p(mean(pull, where))
        table[f"excess_{name}"] = mean(snr, where) * np.sqrt(count)
    weight = error**-2.0
    average = _by_band(curves, weight * flux) / np.maximum(_by_band(curves, weight), 1e-30)
    constant = ((flux - average[owner, curves.band]) / error) ** 2
    table["chi2_constant"] = np.log1p(mean(constant, np.ones(len(owner), bool)))
    table["chi2_ratio"] = np.log1p(mean(pull, np.ones(len(owner), bool))) - table["chi2_constant"]
    share = snr > 3
    early, late = (np.bincount(owner, share & side, n) for side in (phase < -30, phase > 30))
    table["share_early"] = np.where(early + late > 0, early / np.maximum(early + late, 1), np.nan)
    quiet = np.abs(phase) > 60
    table["scatter_away"] = np.log1p(mean((flux / error) ** 2, quiet)) - np.log1p(mean((flux / error) ** 2, ~quiet))
    table["n_observations"] = curves.lengths.astype(np.float64)
    for level in (3, 5, 10):
        table[f"n_above_{level}"] = np.bincount(owner, snr > level, n).astype(np.float64)
    table["n_below"] = np.bincount(owner, snr < -3, n).astype(np.float64)
    table["share_detected"] = table["n_above_5"] / np.maximum(curves.lengths, 1)
    table["log_span_detected"] = _log_span(curves, snr > 5) - np.log1p(np.nan_to_num(redshift))
    table |= _structure_function(curves, error)
    count = _by_band(curves, np.ones(len(owner)))
    deviation = flux - average[owner, curves.band]
    top, bottom = np.full((n, N_BANDS), -np.inf), np.full((n, N_BANDS), np.inf)
    np.maximum.at(top, (owner, curves.band), flux)
    np.minimum.at(bottom, (owner, curves.band), flux)
    scatter = np.sqrt(_by_band(curves, deviation**2) / np.maximum(count, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        level = average / scatter
        lopsided = (top - average) / (average - bottom)
        skew = _by_band(curves, deviation**3) / np.maximum(count, 1) / scatter**3
        excess = np.log(scatter**2 / (_by_band(curves, error**2) / np.maximum(count, 1)))
    for b in bands:
        there = count[:, b] > 3
        table[f"skew_{BANDS[b]}"] = np.where(there, skew[:, b], np.nan)
        table[f"scatter_{BANDS[b]}"] = np.where(there, excess[:, b], np.nan)
        table[f"average_{BANDS[b]}"] = np.where(there, level[:, b], np.nan)
        table[f"lopsided_{BANDS[b]}"] = np.where(there, lopsided[:, b], np.nan)
    return table


def _structure_function(curves: LightCurves, error: np.ndarray) -> Table:
    """Mean squared step between successive observations of a band over the total scatter, by the time between them."""
    order = np.lexsort((curves.mjd, curves.band, curves.owner))
    owner, band, mjd = curves.owner[order], curves.band[order], curves.mjd[order]
    flux, variance = curves.flux[order].astype(np.float64), error[order] ** 2
    same = (np.diff(owner) == 0) & (np.diff(band) == 0)
    lag, step = np.diff(mjd), np.diff(flux) ** 2 - variance[1:] - variance[:-1]
    normal = np.diff(flux) ** 2 / (variance[1:] + variance[:-1])
    n = len(curves)
    total = np.bincount(owner, flux**2 - variance, n) / np.maximum(curves.lengths, 1)
    table = {}
    for low, high in itertools.pairwise(LAG_EDGES_DAYS):
        where = same & (lag > low) & (lag <= high)
        count = np.bincount(owner[1:][where], minlength=n)
        mean = np.bincount(owner[1:][where], step[where], n) / np.maximum(count, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            table[f"steps_{high:.0f}"] = np.where((count > 2) & (total > 0), np.clip(mean / total, -5, 5), np.nan)
        noise = np.bincount(owner[1:][where], normal[where], n) / np.maximum(count, 1)
        table[f"rough_{high:.0f}"] = np.where(count > 2, np.log1p(noise), np.nan)
    return table


def _by_band(curves: LightCurves, values: np.ndarray) -> np.ndarray:
    return np.bincount(curves.owner * N_BANDS + curves.band, values, len(curves) * N_BANDS).reshape(-1, N_BANDS)


def _log_span(curves: LightCurves, where: np.ndarray) -> np.ndarray:
    first, last = np.full(len(curves), np.inf), np.full(len(curves), -np.inf)
    np.minimum.at(first, curves.owner[where], curves.mjd[where])
    np.maximum.at(last, curves.owner[where], curves.mjd[where])
    return np.log1p(np.where(last >= first, last - first, 0.0))
