"""Optical spectra of LAMOST, SDSS, BOSS and others in all their published forms."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pyarrow import csv

from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey, visible
from astro_lightning.data.surveys.fits import read_hdus
from astro_lightning.data.surveys.places import Places
from astro_lightning.data.surveys.spectra_grid import N_PIXELS, resample, spectra_table
from astro_lightning.data.surveys.spectra_lamost import is_lamost, lamost_facts, lamost_spectrum
from astro_lightning.data.surveys.spectra_sdss import is_sdss, sdss_facts, sdss_spectrum
from astro_lightning.data.surveys.spectra_tables import (
    has_flux,
    lists_spectra,
    read_biendata,
    read_china_vo,
    read_parquet,
    read_tianchi,
)

log = logging.getLogger(__name__)

Reader = Callable[[Path, int], Iterator[pa.Table]]
# One spectrum in memory: float64 flux and ivar while it is resampled, float32 lists after.
BYTES_PER_SPECTRUM = 40 * N_PIXELS


@dataclass(frozen=True)
class Source:
    """Files of one form: a table, or all single spectra of a folder."""

    reader: Reader | None
    files: tuple[Path, ...]


class Spectra(Survey[Source]):
    """Reader of spectra on the grid 3800 + 2 i A (vacuum), flux and inverse variance with a mask of usable pixels.

    Reads, alone or mixed in a folder: LAMOST FITS of all releases; SDSS, BOSS and eBOSS FITS, lite and full; China-VO
    `train_data_*.fits`; Tianchi `index.csv` with one text file each; biendata CSV; Parquet and Feather with lists.
    A single FITS file that cannot be read is skipped with its reason in `skipped` and in the log, and so is a table of something
    else where there is another source. In a folder of several
    forms identifiers are text.
    """

    layout = (
        "spec-*.fits[.gz] of LAMOST or SDSS, train_data_*.fits, index.csv with <id>.txt, CSV with FE0..FE2599, "
        "or Parquet/Feather with lists flux and ivar of 2600"
    )
    default_classes: ClassVar[Mapping[str, str | None]] = {}

    def __init__(self, *, memory_gib: float = 1.0, classes: Mapping[str, str | None] | None = None) -> None:
        super().__init__(memory_gib=memory_gib, classes=classes)
        self.skipped: list[tuple[Path, str]] = []
        self._mixed, self._alone = False, True

    def find(self, path: Path) -> list[Source]:
        """Tables first, then all single FITS spectra as one source."""
        files = visible(path, "**/*")
        sources: list[Source] = []
        strange: list[Source] = []
        single: list[Path] = []
        for file in files:
            name = file.name.lower()
            if name.removesuffix(".gz").endswith((".fits", ".fit", ".fits.fz")):
                if name.startswith("train_data"):
                    sources.append(Source(read_china_vo, (file,)))
                else:
                    single.append(file)
            elif name.endswith((".parquet", ".feather", ".arrow")):
                (sources if has_flux(file) else strange).append(Source(read_parquet, (file,)))
            elif name.endswith((".csv", ".csv.gz")):
                reader = _csv_form(file)
                if reader is not None:
                    listed = reader is not read_tianchi or lists_spectra(file)
                    (sources if listed else strange).append(Source(reader, (file,)))
        sources += [Source(None, tuple(single))] if single else []
        if not sources:
            return strange
        for source in strange:
            log.warning("passed over %s: it has no column flux and lists no text file of a spectrum", source.files[0])
        self._alone = len(sources) == 1
        self._mixed = len({source.reader for source in sources}) > 1
        return sources

    def chunks(self, source: Source) -> Iterator[pa.Table]:
        """Records with id, label, flux, ivar, mask and what else the form knows."""
        rows = max(1, min(4096, int(self.memory_gib * 2**30 / BYTES_PER_SPECTRUM)))
        tables = source.reader(source.files[0], rows) if source.reader else self._single(source.files, rows)
        for table in tables:
            if "label" in table.column_names and self.classes:
                index = table.column_names.index("label")
                table = table.set_column(index, "label", self.class_names(table["label"], str(source.files[0])))
            # Some forms number their spectra and others name them.
            for name in ({"id", "group"} & set(table.column_names)) if self._mixed else ():
                table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
            yield table

    def _single(self, files: tuple[Path, ...], rows: int) -> Iterator[pa.Table]:
        read, places = 0, Places()
        for start in range(0, len(files), rows):
            flux, ivar, facts = [], [], []
            for file in files[start : start + rows]:
                try:
                    values, weight, known = read_spectrum(file)
                # A damaged header can make its reading raise nearly anything.
                except Exception as error:
                    reason = str(error) if isinstance(error, BadInput) else f"{file}: {type(error).__name__}: {error}"
                    self.skipped.append((file, reason))
                    log.warning("skipped %s", reason)
                    continue
                flux.append(values)
                ivar.append(weight)
                facts.append(known)
            if facts:
                read += len(facts)
                yield spectra_table(np.stack(flux), np.stack(ivar), _fact_columns(facts, places))
        if not read and self.skipped and self._alone:
            raise BadInput(f"none of {len(files)} FITS files could be read; the first: {self.skipped[0][1]}")


def read_spectrum(file: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """One FITS spectrum of LAMOST or SDSS on the common grid: flux (2600,), inverse variance (2600,), facts.

    Raises:
        BadInput: Another kind of file, cut short, or without usable wavelengths.
    """
    hdus = read_hdus(file)
    if is_sdss(hdus):
        spectrum, facts = sdss_spectrum(hdus, file), sdss_facts(hdus, file)
    elif is_lamost(hdus):
        spectrum, facts = lamost_spectrum(hdus, file), lamost_facts(hdus, file)
    else:
        raise BadInput(f"{file}: neither a LAMOST nor an SDSS spectrum: no TELESCOP=LAMOST, no table with loglam")
    flux, ivar = resample(*spectrum)
    if not np.isfinite(flux).any():
        raise BadInput(f"{file}: no flux between 3800 and 9000 Angstrom")
    return flux, ivar, facts


def _fact_columns(facts: list[dict[str, Any]], places: Places) -> dict[str, Any]:
    columns = {name: [known[name] for known in facts] for name in facts[0]}
    # One object observed twice stands at one place.
    place = [
        places.name(known["ra"], known["dec"]) if np.isfinite([known["ra"], known["dec"]]).all() else known["id"]
        for known in facts
    ]
    typed = {name: np.asarray(columns[name], np.float32) for name in ("z", "snr")}
    typed |= {name: np.asarray(columns[name], np.float64) for name in ("ra", "dec")}
    return {
        **columns,
        **typed,
        "label": pa.array(columns["label"], pa.string()),
        "zwarning": np.asarray(columns["zwarning"], np.int32),
        "group": place,
    }


def _csv_form(file: Path) -> Reader | None:
    try:
        with csv.open_csv(file, read_options=csv.ReadOptions(block_size=1 << 18)) as reader:
            names = set(reader.schema.names)
    except pa.ArrowException:
        return None
    if "FE0" in names:
        return read_biendata
    return read_tianchi if "id" in {name.lower() for name in names} and len(names) < 10 else None
