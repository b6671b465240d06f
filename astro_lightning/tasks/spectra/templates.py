"""Published template spectra that enrich the twin's library."""

import re
from pathlib import Path

import numpy as np
from astropy.io import fits

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.spectra.library import LOG_WAVELENGTH, Floats, Library, unit_at_5100

AIR_TO_VACUUM = 1.000277
# Effective temperature (K) at subclass 0 of each spectral type.
TEMPERATURE_K = {"o": 48000, "b": 30000, "a": 9700, "f": 7200, "g": 5950, "k": 5250, "m": 3850, "l": 2300}


def spectral_temperature(name: str) -> float:
    """Temperature (K) of a spectral type such as `k5iii` or `wg8iii`; NaN where the name is none."""
    found = re.match(r"[rw]?([obafgkml])(\d)", name.lower())
    if not found:
        return float("nan")
    types = list(TEMPERATURE_K)
    here = types.index(found[1])
    cooler = TEMPERATURE_K[types[min(here + 1, len(types) - 1)]]
    return float(TEMPERATURE_K[found[1]] * (cooler / TEMPERATURE_K[found[1]]) ** (int(found[2]) / 10))


def _on_library_grid(log_wavelength: np.ndarray, flux: np.ndarray) -> Floats:
    """Interpolate one spectrum; beyond its ends the last level is kept."""
    good = np.isfinite(flux)
    return np.interp(LOG_WAVELENGTH, log_wavelength[good], flux[good]).astype(np.float32)


def with_templates(library: Library, folder: Path) -> Library:
    """Add every star and galaxy template below a folder to a library.

    Args:
        library: What to add to.
        folder: Holds `**/pickles/*.fits`, `**/kc96/*.fits` (columns WAVELENGTH in A, FLUX) or `**/spEigenStar*.fits`.

    Raises:
        BadInput: The folder holds none of them.
    """
    rows: list[Floats] = []
    kinds: list[str] = []
    temperatures: list[float] = []
    for path in sorted([*folder.glob("**/pickles/*.fits"), *folder.glob("**/kc96/*.fits")]):
        with fits.open(path) as hdus:
            table = hdus[1].data
            wavelength = np.asarray(table["WAVELENGTH"], np.float64) * AIR_TO_VACUUM
            rows.append(_on_library_grid(np.log10(wavelength), np.asarray(table["FLUX"], np.float64)))
        kinds.append("galaxy" if path.parent.name == "kc96" else "template")
        # Only the wide Pickles spectra can be redshifted, so only they get a temperature and build galaxies.
        temperatures.append(spectral_temperature(path.stem) if kinds[-1] == "template" else np.nan)
    for path in sorted(folder.glob("**/spEigenStar*.fits")):
        with fits.open(path) as hdus:
            flux = np.asarray(hdus[0].data, np.float64)
            log_wavelength = hdus[0].header["COEFF0"] + hdus[0].header["COEFF1"] * np.arange(flux.shape[1])
        for spectrum in flux:
            seen = np.flatnonzero(spectrum != 0)
            inside = slice(seen[0], seen[-1] + 1)
            rows.append(_on_library_grid(log_wavelength[inside], spectrum[inside]))
            kinds.append("template")
            temperatures.append(np.nan)
    if not rows:
        raise BadInput(
            f"{folder}: no template spectra (pickles/*.fits, kc96/*.fits, spEigenStar*.fits) below this folder"
        )
    added = np.clip(np.stack(rows), 0, None)
    return Library(
        np.concatenate([library.flux, unit_at_5100(added)]),
        np.concatenate([library.temperature, np.asarray(temperatures, np.float32)]),
        np.concatenate([library.kind, np.asarray(kinds)]),
    )
