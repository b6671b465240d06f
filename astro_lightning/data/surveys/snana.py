"""SNANA's FITS files (Kessler et al. 2009, arXiv:0908.4280): the form in which DES, PLAsTiCC, ELAsTiCC and others are released."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits

from astro_lightning.data.bands import Bands
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import to_objects, to_observations, to_records
from astro_lightning.data.long_tables import BYTES_PER_OBSERVATION
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.tables import readable

# Types that say that nobody knows the type.
NO_TYPE = ("", "-9", "0", "NONE", "UNKNOWN")
METADATA = {"photoz": "HOSTGAL_PHOTOZ", "photoz_err": "HOSTGAL_PHOTOZ_ERR", "mwebv": "MWEBV", "specz": "HOSTGAL_SPECZ"}
BANDS = ("BAND", "FLT")
FLUXES = ("MJD", "FLUXCAL", "FLUXCALERR")


@dataclass(frozen=True)
class Pair:
    """A file with a row for each object, and the one that holds their observations."""

    head: Path
    photometry: Path


class Snana(Survey[Pair]):
    """`*HEAD.FITS` files, each with its `*PHOT.FITS`; gzipped or not.

    What only a simulation knows (`SIM_*`) is no input, nor is REDSHIFT_FINAL, which is spectroscopic for some objects and
    photometric for others. Identifiers are text, as SNANA keeps them. Uncompressed files are mapped, and larger than memory
    they may be; gzipped ones are unpacked whole.

    Args:
        bands: Survey whose band names they are, or the names with their wavelengths in nm (see `bands.aliases`).
        label: Column with the type: SNTYPE of data, SIM_TYPE_NAME or SIM_TYPE_INDEX of simulations. -9, 0 and nothing are
            no label.
        **arguments: Of `Survey`.
    """

    layout = "*HEAD.FITS with *PHOT.FITS (or .FITS.gz)"

    def __init__(self, *, bands: Bands = "lsst", label: str = "SNTYPE", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.bands, self.label = bands, label

    def find(self, path: Path) -> list[Pair]:
        """Pairs in the order of their names, in folders below too.

        Raises:
            BadInput: A file lacks its other half.
        """
        pairs = []
        for head in visible(path, "**/*HEAD.FITS*"):
            before, found, after = head.name.rpartition("HEAD.FITS")
            if not found or after not in ("", ".gz"):
                continue
            ways = [head.with_name(f"{before}PHOT.FITS{ending}") for ending in (after, "", ".gz")]
            photometry = next((way for way in ways if way.is_file()), None)
            if photometry is None:
                raise BadInput(f"{head}: {ways[0].name} is missing beside it: put both into one folder")
            pairs.append(Pair(head, photometry))
        return pairs

    def chunks(self, source: Pair) -> Iterator[pa.Table]:
        """Records of a pair in the order of its first file, in blocks that fit into `memory_gib`."""
        with readable(source.head), fits.open(source.head) as opened:
            head = _columns(opened, source.head)
            objects, begin, end = self._objects(head, source.head)
        with readable(source.photometry), fits.open(source.photometry, memmap=True) as opened:
            data = _columns(opened, source.photometry)
            band = _band(data, source.photometry)
            if len(begin) and (begin.min() < 0 or end.max() > len(data["MJD"]) or (end < begin).any()):
                raise BadInput(
                    f"{source.head}: PTROBS_MIN and PTROBS_MAX point outside the {len(data['MJD'])} rows of "
                    f"{source.photometry.name}: give the two files that were written together"
                )
            count = end - begin
            rows = max(1, int(self.memory_gib * 2**30 / BYTES_PER_OBSERVATION))
            block = (np.cumsum(count) - 1) // rows
            for one in np.unique(block):
                chosen = np.flatnonzero(block == one)
                length, first = count[chosen], begin[chosen]
                row = np.arange(length.sum()) + np.repeat(first - (np.cumsum(length) - length), length)
                own = objects.take(pa.array(chosen))
                table = {"id": own["id"].take(pa.array(np.repeat(np.arange(len(length)), length)))}
                table |= {"band": _text(data[band][row])} | {
                    name: data[name][row].astype(np.float64) for name in FLUXES
                }
                where = str(source.photometry)
                first_row = int(row[0]) if len(row) else 0
                observations = to_observations(pa.table(table), self.bands, where=where, first_row=first_row)
                yield to_records(observations, own, where=where)

    def _objects(self, head: Mapping[str, np.ndarray], file: Path) -> tuple[pa.Table, np.ndarray, np.ndarray]:
        for name in ("SNID", "PTROBS_MIN", "PTROBS_MAX"):
            if name not in head:
                raise BadInput(f"{file}: missing column {name}; found {', '.join(head)}")
        ids = pa.chunked_array([_text(head["SNID"])])
        columns: dict[str, Any] = {name: _known(head[column]) for name, column in METADATA.items() if column in head}
        if self.label in head:
            types = _text(head[self.label])
            columns["label"] = self.class_names(
                pa.array([None if name.upper() in NO_TYPE else name for name in types.to_pylist()], pa.string()),
                str(file),
            )
        objects = to_objects(ids, columns)
        return objects, head["PTROBS_MIN"].astype(np.int64) - 1, head["PTROBS_MAX"].astype(np.int64)


def _band(data: Mapping[str, np.ndarray], file: Path) -> str:
    """Name of the column of bands.

    Raises:
        BadInput: It is missing, or one of the fluxes is.
    """
    band = next((name for name in BANDS if name in data), None)
    missing = [name for name in FLUXES if name not in data] + ([] if band else [" or ".join(BANDS)])
    if missing or band is None:
        raise BadInput(f"{file}: missing column {', '.join(missing)}; found {', '.join(data)}")
    return band


def _columns(opened: fits.HDUList, file: Path) -> dict[str, np.ndarray]:
    """Columns of the first table by their names.

    Raises:
        BadInput: There is none, or the file ends before it does.
    """
    try:
        table = next((hdu.data for hdu in opened if isinstance(hdu, fits.BinTableHDU)), None)
    except TypeError as error:  # of a buffer that is too small
        raise BadInput(f"{file}: cannot be read ({error}): give a whole file") from error
    if table is None:
        raise BadInput(f"{file}: holds no table: give SNANA's own HEAD and PHOT files")
    return {name: table[name] for name in table.names}


def _known(values: np.ndarray) -> np.ndarray:
    found = values.astype(np.float64)
    return np.where(found > -1, found, np.nan)  # -9 and -99 stand for none


def _text(values: np.ndarray) -> pa.Array:
    return pa.array(np.char.strip(values.astype(str)), pa.string())
