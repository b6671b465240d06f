"""Features read off the Gaussian processes: the light curve at fixed rest-frame times and wavelengths."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from astro_lightning.data.bands import BANDS
from astro_lightning.data.light_curves import FLUX_ZERO_POINT
from astro_lightning.tasks.plasticc.gaussian_process import FittedProcess, fit_processes
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.redshift_shift import luminosity_distance

TIME_SCALES_DAYS = (6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 400.0)
# Rest-frame days from the peak and rest-frame wavelengths at which flux and colour are read.
PHASES = (-30.0, -20.0, -12.0, -6.0, 0.0, 6.0, 12.0, 20.0, 30.0, 45.0, 65.0, 90.0, 130.0, 200.0)
REST_NM = (250.0, 310.0, 370.0, 440.0, 520.0, 600.0, 700.0)
# The wavelength whose maximum is the peak, and where the search for it has none (no redshift).
PEAK_NM, PEAK_NM_OBSERVED = 470.0, 620.0
FINE_PHASES = np.concatenate([np.arange(-120.0, -40, 8), np.arange(-40.0, 60, 2.5), np.arange(60.0, 320, 10)])
TEMPERATURES_K = np.geomspace(3000, 60000, 25)
TEMPERATURE_PHASES = (-12.0, 0.0, 12.0, 30.0, 65.0, 130.0)
LEVELS = (0.8, 0.5, 0.2)

Table = dict[str, np.ndarray]


def asinh_magnitude(flux: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Magnitudes that stay finite where flux is below the error `soft` (Lupton, Gunn & Szalay 1999)."""
    return FLUX_ZERO_POINT - 2.5 / np.log(10) * (np.arcsinh(flux / (2 * soft)) + np.log(soft))


def distance_modulus(redshift: np.ndarray) -> np.ndarray:
    """Magnitudes, NaN where redshift is."""
    return 5 * np.log10(luminosity_distance(np.where(np.isnan(redshift), 1.0, redshift))) + 25 + 0 * redshift


def process_features(curves: LightCurves, redshift: np.ndarray, wavelength_nm: np.ndarray) -> Table:
    """Features of N light curves; NaN for those without observations.

    Args:
        curves: Bands 0..5 = ugrizy.
        redshift: (N,) NaN = unknown: the frame of the observer then stands in for the rest frame.
        wavelength_nm: (6,) NaN for a band the survey lacks.
    """
    bands = np.flatnonzero(np.isfinite(wavelength_nm))
    filled = np.where(np.isfinite(wavelength_nm), wavelength_nm, 0.0)
    table = {name: np.full(len(curves), np.nan) for name in feature_names(tuple(bands.tolist()))}
    for process in fit_processes(curves, filled, TIME_SCALES_DAYS):
        for name, values in _read(process, redshift[process.rows], filled, bands).items():
            table[name][process.rows] = values
    return table


@lru_cache
def feature_names(bands: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the features of a survey with these bands, in order; those of any light curve, hence of this one."""
    single = (np.zeros(1), np.array([bands[0]]), np.ones(1), np.ones(1), np.ones(1, bool), np.array([0, 1]))
    wavelength_nm = np.arange(400.0, 1000.0, 100.0)
    process = next(fit_processes(LightCurves(*single), wavelength_nm, TIME_SCALES_DAYS))
    return tuple(_read(process, np.array([0.1]), wavelength_nm, np.array(bands)))


def _read(process: FittedProcess, redshift: np.ndarray, wavelength_nm: np.ndarray, bands: np.ndarray) -> Table:
    stretch = 1 + np.nan_to_num(redshift)
    low, high = wavelength_nm[bands].min(), wavelength_nm[bands].max()
    reference = np.clip(np.where(np.isnan(redshift), PEAK_NM_OBSERVED, PEAK_NM * stretch), low, high)
    peak = find_peak(process, torch.from_numpy(reference))
    size, size_err = (
        x.numpy()[:, 0] for x in process.mean_and_std(peak[:, None], torch.from_numpy(reference)[:, None])
    )
    likelihood = process.log_likelihood.numpy()
    best = likelihood.max(1)
    modulus = distance_modulus(redshift)
    table = {
        "time_scale": np.log(process.time_scale.numpy() / stretch),
        "likelihood": np.log1p(np.maximum(best, 0)),
        "peak_absolute": asinh_magnitude(size, size_err) - modulus,
        "peak_snr": np.log(np.maximum(size / size_err, 0.1)),
        "peak_day": peak.numpy(),
        "peak_to_end": (process.time.amax(1) - peak).numpy(),
    }
    for k, days in enumerate(TIME_SCALES_DAYS):
        table[f"likelihood_{days:.0f}"] = np.log1p(best - likelihood[:, k])
    scale = np.where(size > 2 * size_err, size, np.nan)
    table |= _bands(process, peak, stretch, scale, wavelength_nm, bands)
    table |= _rest_frame(process, peak, redshift, scale, modulus, low, high)
    table |= _profile(process, peak, reference, stretch, scale, wavelength_nm, bands)
    return table


def find_peak(process: FittedProcess, reference_nm: Tensor) -> Tensor:
    """(B,) day of the largest mean flux at `reference_nm` (B,): the best observed time first, then steps of a day around it."""
    at = process.mean(process.time, reference_nm[:, None].expand_as(process.time))
    coarse = process.time.gather(1, at.masked_fill(~process.mask, -torch.inf).argmax(1, keepdim=True))
    near = (coarse + torch.arange(-15.0, 16, 1.5, dtype=torch.float64)).clamp(min=0)
    near = torch.minimum(near, process.time.amax(1, keepdim=True))
    at = process.mean(near, reference_nm[:, None].expand_as(near))
    return near.gather(1, at.argmax(1, keepdim=True))[:, 0]


def _grid(peak: Tensor, stretch: np.ndarray, phases: np.ndarray, wavelength: np.ndarray) -> tuple[Tensor, Tensor]:
    """Times and wavelengths (B, n_phases * n_wavelengths) of all pairs; wavelength is (n,) or (B, n)."""
    n = wavelength.shape[-1]
    time = peak[:, None] + torch.from_numpy(np.outer(stretch, np.repeat(phases, n)))
    tiled = np.tile(np.broadcast_to(wavelength, (len(peak), n)), len(phases))
    return time, torch.from_numpy(np.ascontiguousarray(tiled, dtype=np.float64))


def _bands(
    process: FittedProcess,
    peak: Tensor,
    stretch: np.ndarray,
    scale: np.ndarray,
    wavelength_nm: np.ndarray,
    bands: np.ndarray,
) -> Table:
    """Flux in each band over the peak's, and colours, at fixed phases; the temperature there."""
    phases = np.array(PHASES)
    mean, std = process.mean_and_std(*_grid(peak, stretch, phases, wavelength_nm[bands]))
    flux, error = (x.numpy().reshape(len(scale), len(phases), len(bands)) for x in (mean, std))
    known = error < 0.3 * scale[:, None, None]
    ratio = np.where(known, np.clip(flux / scale[:, None, None], -2, 5), np.nan)
    magnitude = np.where(known & (flux > 2 * error), asinh_magnitude(flux, error), np.nan)
    table = {}
    for p, phase in enumerate(PHASES):
        for i, b in enumerate(bands):
            table[f"ratio_{BANDS[b]}_{phase:.0f}"] = ratio[:, p, i]
            if i:
                table[f"colour_{BANDS[bands[i - 1]]}{BANDS[b]}_{phase:.0f}"] = (
                    magnitude[:, p, i - 1] - magnitude[:, p, i]
                )
    chosen = [PHASES.index(phase) for phase in TEMPERATURE_PHASES]
    error = np.hypot(error, 0.05 * np.abs(flux))
    heat, spread = temperature(flux[:, chosen], error[:, chosen], wavelength_nm[bands], stretch)
    heat = np.where(known[:, chosen].sum(2) >= 3, heat, np.nan)
    for p, phase in enumerate(TEMPERATURE_PHASES):
        table[f"temperature_{phase:.0f}"] = np.where(spread[:, p] < 0.6, heat[:, p], np.nan)
        table[f"cooling_{phase:.0f}"] = heat[:, p] - heat[:, 1]
    return table


def _rest_frame(
    process: FittedProcess,
    peak: Tensor,
    redshift: np.ndarray,
    scale: np.ndarray,
    modulus: np.ndarray,
    low: float,
    high: float,
) -> Table:
    """Flux over the peak's, colours and absolute magnitudes at fixed rest-frame phases and wavelengths."""
    phases, rest = np.array(PHASES), np.array(REST_NM)
    stretch = 1 + np.nan_to_num(redshift)
    wavelength = stretch[:, None] * rest
    covered = (wavelength > 0.93 * low) & (wavelength < 1.07 * high) & np.isfinite(redshift)[:, None]
    mean, std = process.mean_and_std(*_grid(peak, stretch, phases, wavelength))
    flux, error = (x.numpy().reshape(len(scale), len(phases), len(rest)) for x in (mean, std))
    known = covered[:, None] & (error < 0.3 * scale[:, None, None])
    ratio = np.where(known, np.clip(flux / scale[:, None, None], -2, 5), np.nan)
    magnitude = np.where(known & (flux > 2 * error), asinh_magnitude(flux, error), np.nan)
    absolute = magnitude[:, PHASES.index(0)] - modulus[:, None]
    table = {}
    for i, nm in enumerate(REST_NM):
        table[f"absolute_{nm:.0f}nm"] = absolute[:, i]
        for p, phase in enumerate(PHASES):
            table[f"ratio_{nm:.0f}nm_{phase:.0f}"] = ratio[:, p, i]
            if i:
                colour = magnitude[:, p, i - 1] - magnitude[:, p, i]
                table[f"colour_{REST_NM[i - 1]:.0f}nm_{phase:.0f}"] = colour
    return table


def _profile(
    process: FittedProcess,
    peak: Tensor,
    reference: np.ndarray,
    stretch: np.ndarray,
    scale: np.ndarray,
    wavelength_nm: np.ndarray,
    bands: np.ndarray,
) -> Table:
    """Times to rise to and fall from the peak, areas and further maxima, at the reference wavelength and in each band."""
    wavelength = np.column_stack([reference, np.broadcast_to(wavelength_nm[bands], (len(scale), len(bands)))])
    mean = process.mean(*_grid(peak, stretch, FINE_PHASES, wavelength))
    flux = mean.numpy().reshape(len(scale), len(FINE_PHASES), -1)
    observed = peak.numpy()[:, None] + np.outer(stretch, FINE_PHASES)
    inside = (observed >= 0) & (observed <= process.time.amax(1).numpy()[:, None])
    table = {}
    main = np.where(inside, flux[:, :, 0] / scale[:, None], np.nan)
    for level in LEVELS:
        table[f"rise_{level}"], table[f"fall_{level}"] = crossing_times(main, level, FINE_PHASES)
    step = np.gradient(FINE_PHASES)
    table["area_before"] = np.nansum(np.where(FINE_PHASES < 0, main * step, 0), 1)
    table["area_after"] = np.nansum(np.where(FINE_PHASES > 0, main * step, 0), 1)
    table["variation"] = np.nansum(np.abs(np.diff(main, axis=1)), 1)
    table["lowest_before"], table["lowest_after"] = (
        _nanmin(main[:, side]) for side in (FINE_PHASES < 0, FINE_PHASES > 0)
    )
    middle = main[:, 1:-1]
    with np.errstate(invalid="ignore"):
        maximum = (middle > main[:, :-2]) & (middle > main[:, 2:]) & (np.abs(FINE_PHASES[1:-1]) > 15)
    table["second_maximum"] = -_nanmin(np.where(maximum, -middle, np.nan))
    for i, b in enumerate(bands):
        curve = np.where(inside, flux[:, :, i + 1] / scale[:, None], np.nan)
        top = -_nanmin(-curve)
        when = np.where(np.isnan(top), 0, np.nanargmax(np.where(np.isnan(curve), -np.inf, curve), axis=1))
        table[f"maximum_{BANDS[b]}"] = np.clip(top, -2, 5)
        table[f"maximum_day_{BANDS[b]}"] = np.where(np.isnan(top), np.nan, FINE_PHASES[when])
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = curve / np.where(top > 0.05, top, np.nan)[:, None]
        _, table[f"fall_{BANDS[b]}"] = crossing_times(relative, 0.5, FINE_PHASES)
    return table


def crossing_times(curve: np.ndarray, level: float, phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days before and after phase 0 at which `curve` (N, P) last was and first is below `level`; NaN where it never is."""
    with np.errstate(invalid="ignore"):
        below = curve < level
    before, after = below & (phases < 0), below & (phases > 0)
    rise = -phases[len(phases) - 1 - before[:, ::-1].argmax(1)]
    fall = phases[after.argmax(1)]
    return np.where(before.any(1), rise, np.nan), np.where(after.any(1), fall, np.nan)


def temperature(
    flux: np.ndarray, error: np.ndarray, wavelength_nm: np.ndarray, stretch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (N, P) of ln(temperature in K) of the black body that fits fluxes per frequency.

    Args:
        flux: (N, P, n_bands) any unit per frequency.
        error: Of the flux.
        wavelength_nm: (n_bands,) observed.
        stretch: (N,) 1 + redshift.
    """
    x = 1.4388e7 / (wavelength_nm / stretch[:, None])[:, None] / TEMPERATURES_K[:, None]
    shape = 1e3 / (np.expm1(np.minimum(x, 500)) * wavelength_nm**3 / 1e8)
    weight = error**-2
    overlap = np.maximum(np.einsum("npb,ntb->npt", weight * flux, shape), 0)
    gain = overlap**2 / np.einsum("npb,ntb->npt", weight, shape**2) / 2
    share = np.exp(gain - gain.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    log_t = np.log(TEMPERATURES_K)
    mean = share @ log_t
    return mean, np.sqrt(np.maximum(share @ log_t**2 - mean**2, 0))


def _nanmin(values: np.ndarray) -> np.ndarray:
    lowest = np.where(np.isnan(values), np.inf, values).min(1)
    return np.where(np.isinf(lowest), np.nan, lowest)
