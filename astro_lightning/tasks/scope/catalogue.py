"""A catalogue of light curves to a table of the published features, chunk by chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from rich.progress import track

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.survey import Survey
from astro_lightning.data.tables import write_parquet
from astro_lightning.methods.periodograms.candidates import CANDIDATES
from astro_lightning.methods.periodograms.descriptors import DESCRIPTORS
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.peaks import agreement
from astro_lightning.tasks.scope.dmdt import SIZE
from astro_lightning.tasks.scope.feature_cache import chunks, measure_chunk
from astro_lightning.tasks.scope.features import FEATURES, periodic
from astro_lightning.tasks.scope.fourier import FOURIER, fourier_features
from astro_lightning.tasks.scope.measure import MIN_POINTS, magnitudes
from astro_lightning.tasks.scope.statistics import STATISTICS

ALGORITHM, NESTED = "ELS_EAOV", "ELS_ECE_EAOV"
SETTINGS = {"max_per_day": 20.0, "min_gap_d": 0.0, "processes": 0}


def write_features(
    survey: Survey,
    path: Path,
    out: Path,
    cache: Path,
    settings: Mapping[str, Any] = {},
) -> int:
    """Measure every object of a catalogue into a Parquet table, in the input's order; a killed call goes on where it was.

    Args:
        survey: Reader of the files.
        path: File or folder that it reads.
        out: Parquet file: `id`, `label` where there is one, the basic statistics, the periodic features at the candidate
            of the highest analysis of variance (suffix `_ELS_EAOV`), `dmdt`; with `nested`, also the periodic features at
            the period of the published nested search (suffix `_ELS_ECE_EAOV`, as `task=scope_table` reads them) and
            `periods_agree`, whether both periods do within 5%, or within 5% of a half, double, third or triple.
        cache: Folder that keeps measured chunks.
        settings: Those of `measure.measure` that are not the usual ones.

    Returns:
        Number of objects.
    """
    if out.suffix != ".parquet":
        raise BadInput(f"{out} must end in .parquet")
    settings = SETTINGS | dict(settings)
    parts = _parts(survey, path, cache, settings)
    first = next(parts, None)
    if first is None:
        raise BadInput(f"{path} holds no object: nothing to measure")
    return write_parquet(itertools.chain([first], parts), out)


def _parts(survey: Survey, path: Path, cache: Path, settings: Mapping[str, Any]) -> Iterator[pa.Table]:
    for table in survey.read(path):
        records = Records.from_table(table)
        for rows in track(chunks(len(records)), "features"):
            found = measure_chunk(cache, records, rows, settings)
            columns = {"id": table["id"].slice(rows[0], len(rows)).combine_chunks()}
            if "label" in table.column_names:
                columns["label"] = table["label"].slice(rows[0], len(rows)).combine_chunks()
            yield pa.table(columns | _columns(records, rows, found, settings["min_gap_d"]))


def _columns(
    records: Records, rows: np.ndarray, found: Mapping[str, np.ndarray], min_gap_d: float
) -> dict[str, pa.Array]:
    curves = LightCurves.from_ragged(*magnitudes(records, rows, min_gap_d))
    tensors = {name: torch.from_numpy(np.asarray(values)) for name, values in found.items()}
    score = tensors["candidates"].unflatten(1, (CANDIDATES, len(DESCRIPTORS)))[..., DESCRIPTORS.index("log_aov")]
    values = torch.cat([tensors["statistics"], periodic(curves, tensors, score.nan_to_num(0.0))], 1)
    values = values.masked_fill((curves.count < MIN_POINTS)[:, None], torch.nan)
    named = dict(zip(FEATURES, values.numpy().T))
    columns = {name: pa.array(named[name]) for name in STATISTICS}
    period_d = 10 ** named["log_period"].astype(np.float64)
    columns |= _at_period(ALGORITHM, period_d, named["significance"], np.stack([named[name] for name in FOURIER], 1))
    if "nested" in found:
        nested_d, certainty = found["nested"].T
        # A curve too short to measure has no period; any serves, for its features are left out.
        series = fourier_features(curves, torch.from_numpy(nested_d).nan_to_num(1.0)).numpy()
        series[np.isnan(nested_d)] = np.nan
        columns |= _at_period(NESTED, nested_d, certainty, series)
        columns["periods_agree"] = pa.array(agreement(nested_d, period_d))
    flat = pa.array(np.ascontiguousarray(found["dmdt"], dtype=np.float32).reshape(-1))
    return columns | {"dmdt": pa.FixedSizeListArray.from_arrays(flat, SIZE * SIZE)}


def _at_period(
    algorithm: str, period_d: np.ndarray, significance: np.ndarray, series: np.ndarray
) -> dict[str, pa.Array]:
    """The published periodic columns of one algorithm."""
    # Changing periods are not searched for.
    single = {"significance": significance, "pdot": np.zeros(len(period_d)), **dict(zip(FOURIER, series.T))}
    columns = {f"period_{algorithm}": pa.array(period_d)}
    return columns | {f"{name}_{algorithm}": pa.array(values.astype(np.float32)) for name, values in single.items()}
