"""LAMOST `spec-*.fits[.gz]` of all releases: an image of five rows (pilot to DR8) or a table COADD (from DR9 on)."""

from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.fits import Hdu

Spectrum = tuple[np.ndarray, np.ndarray, np.ndarray]


def is_lamost(hdus: list[Hdu]) -> bool:
    """Whether the primary header is LAMOST's."""
    first = hdus[0]
    return "LAMOST" in str(first.get("TELESCOP", "")).upper() or "LAMOST" in str(first.get("ORIGIN", "")).upper()


def lamost_spectrum(hdus: list[Hdu], path: Path) -> Spectrum:
    """Wavelength (vacuum A), flux and inverse variance, each (L,).

    The first pipeline's third image row is not wavelength but near 1, so the header's coefficients come first.

    Raises:
        BadInput: Neither layout is there, or wavelengths cannot be told.
    """
    first = hdus[0]
    if first.shape and len(first.shape) == 2 and first.shape[0] >= 3:
        image = first.image()
        flux, ivar, wave = image[0], image[1], image[2]
    else:
        table = next((h.table() for h in hdus[1:] if h.get("XTENSION") == "BINTABLE"), None)
        names = table.dtype.names if table is not None and table.dtype.names else ()
        if table is None or "FLUX" not in names:
            raise BadInput(f"{path}: no LAMOST spectrum: neither an image of 5 rows nor a table with FLUX")
        row = table[0] if table["FLUX"].ndim == 2 else table
        flux, ivar = row["FLUX"], row["IVAR"]
        wave = row["WAVELENGTH"] if "WAVELENGTH" in names else 10.0 ** row["LOGLAM"]
    start, step = first.get("COEFF0"), first.get("COEFF1")
    if start and step:
        wave = 10.0 ** (float(start) + float(step) * np.arange(len(flux)))
    if np.nanmedian(wave) < 100:
        raise BadInput(f"{path}: wavelengths are neither in the header (COEFF0, COEFF1) nor in the data")
    return np.asarray(wave, float), np.asarray(flux, float), np.asarray(ivar, float)


def lamost_facts(hdus: list[Hdu], path: Path) -> dict[str, Any]:
    """What the header knows: id, label, subclass, z, zwarning, snr, ra, dec, survey, group."""
    first = hdus[0]
    label = str(first.get("CLASS", "") or "").upper()
    ra, dec = first.get("RA"), first.get("DEC")
    snr = next(
        (v for v in (first.get("SNRR"), first.get("SN_R"), first.get("SNRG"), first.get("SN_G")) if v is not None),
        np.nan,
    )
    z = first.get("Z", np.nan)
    return {
        "id": path.name.removesuffix(".gz").removesuffix(".fits"),
        "label": label if label in ("STAR", "GALAXY", "QSO") else "UNKNOWN" if label else None,
        "subclass": str(first.get("SUBCLASS", "") or ""),
        "z": np.nan if z is None or float(z) < -9 else float(z),
        "zwarning": 0,
        "snr": float(snr),
        "ra": np.nan if ra is None else float(ra),
        "dec": np.nan if dec is None else float(dec),
        "survey": "LAMOST",
    }
