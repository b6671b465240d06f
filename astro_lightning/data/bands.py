"""Pass bands: every survey's names and numbers for them, and their effective wavelengths."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import linear_sum_assignment

from astro_lightning.data.errors import BadInput

BANDS = ("u", "g", "r", "i", "z", "y")

# A survey's name, or for any other bands their names with effective wavelengths in nm: {"c": 533.0, "o": 678.7}.
Bands = str | Mapping[str, float]

# Effective wavelengths, to about a per cent (SVO Filter Profile Service, atmosphere and detector included).
EFFECTIVE_WAVELENGTH_NM: dict[str, dict[str, float]] = {
    "lsst": {"u": 368.5, "g": 480.2, "r": 623.1, "i": 754.2, "z": 869.0, "y": 973.6},
    "ztf": {"g": 474.6, "r": 636.6, "i": 782.9},
    "des": {"g": 477.1, "r": 637.1, "i": 777.4, "z": 915.8, "y": 988.6},
    "sdss": {"u": 360.8, "g": 467.2, "r": 614.1, "i": 745.8, "z": 892.3},
    "ps1": {"g": 481.1, "r": 615.6, "i": 750.4, "z": 866.9, "y": 961.3},
}

_PREFIXES = {
    "lsst": ("", "lsst", "lsst_", "lsst-", "lsst::"),
    "ztf": ("", "z", "ztf", "ztf_", "ztf-", "ztf::"),
    "des": ("", "des", "des_", "des-", "des::", "decam_"),
    "sdss": ("", "sdss", "sdss_", "sdss-", "sdss::"),
    "ps1": ("", "ps1", "ps1_", "ps1-", "ps1::", "panstarrs_", "ps"),
}

# The number that a survey's files give to their first band: PLAsTiCC 0..5 = ugrizy, ZTF filterid 1..3 = gri, and so on.
_FIRST_NUMBER = {"lsst": 0, "ztf": 1, "des": 0, "sdss": 0, "ps1": 1}


def aliases(bands: Bands) -> dict[str, int]:
    """Lower-case name or number of a band -> index 0..5 in ugrizy.

    Bands of another system take the places of those of LSST that are nearest in wavelength, in their order.

    Raises:
        BadInput: Unknown survey, or bands that are more than six, alike but for their case, or without a wavelength.
    """
    if isinstance(bands, str):
        if bands not in _PREFIXES:
            raise BadInput(
                f"bands of survey {bands!r} are unknown: give one of {', '.join(_PREFIXES)}, or wavelengths in nm by name"
            )
        letters = list(EFFECTIVE_WAVELENGTH_NM[bands])
        numbers = {str(number): BANDS.index(band) for number, band in enumerate(letters, _FIRST_NUMBER[bands])}
        return numbers | {prefix + band: BANDS.index(band) for band in letters for prefix in _PREFIXES[bands]}
    names, values = [_plain(name) for name in bands], np.array(list(bands.values()), dtype=np.float64)
    if not 0 < len(set(names)) == len(names) <= len(BANDS) or not (values > 0).all():
        raise BadInput(
            f"bands {dict(bands)}: give one to {len(BANDS)} names that differ in more than their case, each with its nm"
        )
    lsst = np.array(list(EFFECTIVE_WAVELENGTH_NM["lsst"].values()))
    order, places = linear_sum_assignment(np.square(values[:, None] - lsst))
    return {names[i]: int(place) for i, place in zip(order, places, strict=True)}


def wavelengths_nm(bands: Bands) -> np.ndarray:
    """Effective wavelength of ugrizy in nm, shape (6,), NaN for a band the survey does not have."""
    own = EFFECTIVE_WAVELENGTH_NM[bands] if isinstance(bands, str) else bands
    known, found = aliases(bands), np.full(len(BANDS), np.nan)
    for name, wavelength in own.items():
        found[known[_plain(name)]] = wavelength
    return found


def band_index(
    values: np.ndarray | pa.Array | pa.ChunkedArray | list, survey: Bands, where: str = "bands", first_row: int = 0
) -> np.ndarray:
    """Index of each value's band in ugrizy.

    Args:
        values: Names (text or bytes, any case) or numbers, shape (n,).
        survey: Whose names they are: lsst, ztf, des, sdss or ps1, or the names with their wavelengths.
        where: File that a message names.
        first_row: Row of that file at which `values` starts.

    Returns:
        int8 array of shape (n,).

    Raises:
        BadInput: A band that the survey does not have; the message names it, its row and the names that are known.
    """
    known = aliases(survey)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    coded = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if not pa.types.is_dictionary(coded.type):
        coded = pc.dictionary_encode(coded, null_encoding="encode")
    index = np.array([known.get(_plain(name), -1) for name in coded.dictionary.to_pylist()], dtype=np.int8)
    codes = coded.indices.fill_null(len(index)).to_numpy(zero_copy_only=False)
    bands = np.append(index, np.int8(-1))[codes]
    if len(bands) and bands.min() < 0:
        row = int(np.argmax(bands < 0))
        names = "; ".join(f"{b} = {', '.join(k for k, v in known.items() if BANDS[v] == b)}" for b in BANDS)
        whose = survey if isinstance(survey, str) else "the reader's"
        raise BadInput(f"{where}, row {first_row + row}: band {array[row].as_py()!r} is not of {whose} ({names})")
    return bands


def _plain(name: object) -> str:
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return text.strip().lower().removesuffix(".0")
