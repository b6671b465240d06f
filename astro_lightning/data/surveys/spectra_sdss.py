"""SDSS, BOSS and eBOSS `spec-plate-mjd-fiber.fits`, lite and full: table COADD, then SPECOBJ or SPALL."""

from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.data.errors import BadInput
from astro_lightning.data.surveys.fits import Hdu
from astro_lightning.data.surveys.spectra_lamost import Spectrum

# The BOSS spectrographs' first plate.
FIRST_BOSS_PLATE = 3510


def is_sdss(hdus: list[Hdu]) -> bool:
    """Whether the second unit is a co-added spectrum with logarithmic wavelengths."""
    return len(hdus) > 1 and hdus[1].get("XTENSION") == "BINTABLE" and "loglam" in hdus[1].header.lower()


def sdss_spectrum(hdus: list[Hdu], path: Path) -> Spectrum:
    """Wavelength (vacuum A), flux (1e-17 erg/s/cm2/A) and inverse variance, each (L,).

    Raises:
        BadInput: The table lacks flux, loglam or ivar.
    """
    table = hdus[1].table()
    missing = [name for name in ("FLUX", "LOGLAM", "IVAR") if name not in (table.dtype.names or ())]
    if missing:
        raise BadInput(f"{path}: the table COADD has no column {missing[0].lower()}")
    return 10.0 ** table["LOGLAM"].astype(float), table["FLUX"].astype(float), table["IVAR"].astype(float)


def sdss_facts(hdus: list[Hdu], path: Path) -> dict[str, Any]:
    """What SPECOBJ or SPALL knows: id, label (SKY for sky fibres), subclass, z, zwarning, snr, ra, dec, survey."""
    row: dict[str, Any] = {}
    for hdu in hdus[2:4]:
        if hdu.get("XTENSION") == "BINTABLE" and "ZWARNING" in hdu.header:
            table = hdu.table()
            row = {name: table[name][0] for name in (table.dtype.names or ())}
            break

    def text(name: str) -> str:
        value = row.get(name, b"")
        return value.decode("latin-1").strip() if isinstance(value, bytes) else ""

    def number(*names: str) -> float:
        return next((float(row[name]) for name in names if name in row and np.ndim(row[name]) == 0), np.nan)

    first = hdus[0]
    plate = int(row.get("PLATE", first.get("PLATEID", 0)) or 0)
    label = text("CLASS").upper()
    if "SKY" in (text("OBJTYPE").upper(), text("SOURCETYPE").upper()):
        label = "SKY"
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    parts = stem.removeprefix("spec-").split("-")
    instrument = text("INSTRUMENT").upper()
    boss = instrument == "BOSS" or (not instrument.startswith("SDSS") and plate >= FIRST_BOSS_PLATE)
    return {
        "id": "-".join(str(int(p)) for p in parts) if all(p.isdigit() for p in parts) else stem,
        "label": label or None,
        "subclass": text("SUBCLASS"),
        "z": number("Z"),
        "zwarning": int(number("ZWARNING")) if row else 0,
        "snr": number("SN_MEDIAN_ALL"),
        "ra": number("PLUG_RA", "RA"),
        "dec": number("PLUG_DEC", "DEC"),
        "survey": "BOSS" if boss else "SDSS",
    }
