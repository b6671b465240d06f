"""Period-independent features of many light curves, over all processor cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch

from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import FLUX_ZERO_POINT
from astro_lightning.data.records import Records
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.methods.periodograms.nested import els_ece_eaov
from astro_lightning.tasks.scope.features import FEATURES, WIDTHS, aperiodic, periodic
from astro_lightning.tasks.scope.statistics import STATISTICS

# Curves handled together: enough to vectorise over, few enough to stay in the processor's cache.
BLOCK = 16
# A Fourier series of six harmonics has 13 coefficients; a shorter curve gets no features, and is scored all the same.
MIN_POINTS = 15

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def magnitudes(records: Records, rows: np.ndarray, min_gap_d: float = 0.0) -> Arrays:
    """Times (MJD), magnitudes, errors and offsets of some rows; fluxes that are not positive are left out.

    Args:
        records: With `mag` and `mag_err`, or with `flux` and `flux_err` on the scale of all records.
        rows: Which objects.
        min_gap_d: Keep an observation only if it comes this many days or more after the last one kept.

    Raises:
        BadInput: The records hold no times, or several bands in one curve.
    """
    if "mjd" not in records.ragged:
        raise BadInput("the records hold no light curves (column mjd): choose a survey with times and magnitudes")
    mjd, offsets = records.ragged["mjd"].take(rows)
    if "band" in records.ragged:
        band = records.ragged["band"].take(rows)[0]
        several = np.diff(band) != 0
        edges = offsets[(offsets > 0) & (offsets < len(band))]
        several[edges - 1] = False  # from one object to the next
        if several.any():
            row = int(np.searchsorted(offsets, np.argmax(several), side="right")) - 1
            raise BadInput(
                f"object {records.ids[rows[row]]} has several bands: these features are of one band, give each a curve"
            )
    if "mag" in records.ragged:
        mag, mag_err = (records.ragged[name].take(rows)[0].astype(np.float64) for name in ("mag", "mag_err"))
        keep = np.ones(len(mjd), dtype=bool)
    else:
        flux, flux_err = (records.ragged[name].take(rows)[0].astype(np.float64) for name in ("flux", "flux_err"))
        keep = (flux > 0) & (flux_err > 0)
        safe = np.where(keep, flux, 1.0)
        mag, mag_err = FLUX_ZERO_POINT - 2.5 * np.log10(safe), 2.5 / np.log(10) * flux_err / safe
    owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
    if min_gap_d > 0:
        keep &= thinned(mjd, owner, keep, min_gap_d)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[keep], minlength=len(rows)))])
    return mjd[keep], mag[keep], mag_err[keep], offsets


def thinned(mjd: np.ndarray, owner: np.ndarray, keep: np.ndarray, min_gap_d: float) -> np.ndarray:
    """True for observations at least `min_gap_d` after the last one kept of the same object.

    Every pass keeps each object's next observation at once, so that the passes are as many as the longest curve has
    kept points, whatever the number of objects.
    """
    taken = np.zeros(len(mjd), dtype=bool)
    earliest = np.full(int(owner.max(initial=-1)) + 1, -np.inf)
    left = np.flatnonzero(keep)
    while len(left):
        left = left[mjd[left] >= earliest[owner[left]]]
        first = left[np.unique(owner[left], return_index=True)[1]]
        taken[first] = True
        earliest[owner[first]] = mjd[first] + min_gap_d
        left = np.setdiff1d(left, first, assume_unique=True)
    return taken


def measure(
    records: Records, rows: np.ndarray, max_per_day: float = 20.0, min_gap_d: float = 0.0, processes: int = 0,
    excise: bool = False, nested: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of `features.aperiodic` for some rows.

    Args:
        records: Light curves.
        rows: Which objects.
        max_per_day: Highest frequency searched, cycles a day.
        min_gap_d: See `magnitudes`.
        processes: Worker processes; 0 takes as many as there are cores.
        excise: Whether to leave out the terrestrial zones.
        nested: Whether to search by `els_ece_eaov` as well: `nested`, period (days) and significance, shape (rows, 2).

    Returns:
        Arrays of shape (rows, WIDTHS[name]); NaN (frequency 1) for a curve of fewer than MIN_POINTS observations.
    """
    mjd, mag, mag_err, offsets = magnitudes(records, rows, min_gap_d)
    widths = WIDTHS | ({"nested": 2} if nested else {})
    out: dict[str, np.ndarray] = {
        name: np.full((len(rows), width), np.nan, _dtype(name)) for name, width in widths.items()
    }
    out["frequency"][:] = 1.0
    out["dmdt"][:] = 0.0
    blocks = _blocks(np.diff(offsets))
    arguments = ((_cut(mjd, mag, mag_err, offsets, block), max_per_day, excise, nested) for block in blocks)
    for block, columns in zip(blocks, _apply(_measure_block, arguments, len(blocks), processes), strict=True):
        for name, values in columns.items():
            out[name][block] = values
    return out


def measure_periodic(
    records: Records, rows: np.ndarray, score: np.ndarray, min_gap_d: float = 0.0, processes: int = 0
) -> np.ndarray:
    """All features at the chosen periods of some rows whose period-independent columns the records hold.

    Args:
        records: Light curves with the columns of `measure`.
        rows: Which objects.
        score: Of all candidates, shape (rows, candidates).
        min_gap_d: See `magnitudes`.
        processes: Worker processes; 0 takes as many as there are cores.

    Returns:
        Shape (rows, len(FEATURES)), float32; NaN for a curve of fewer than MIN_POINTS observations.
    """
    mjd, mag, mag_err, offsets = magnitudes(records, rows, min_gap_d)
    out = np.full((len(rows), len(FEATURES)), np.nan, np.float32)
    blocks = _blocks(np.diff(offsets))

    def arguments() -> Iterator[tuple[Arrays, dict[str, np.ndarray], np.ndarray]]:
        for block in blocks:
            found = {
                name: np.asarray(records.fixed[name][rows[block]]) for name in ("frequency", "best_sine", "candidates")
            }
            yield _cut(mjd, mag, mag_err, offsets, block), found, score[block]

    for block, values in zip(blocks, _apply(_periodic_block, arguments(), len(blocks), processes), strict=True):
        out[block, len(STATISTICS) :] = values
        out[block, : len(STATISTICS)] = records.fixed["statistics"][rows[block]]
    return out


def _blocks(length: np.ndarray) -> list[np.ndarray]:
    """Positions of the curves that are long enough, like lengths together: less padding."""
    usable = np.flatnonzero(length >= MIN_POINTS)
    usable = usable[np.argsort(length[usable], kind="stable")]
    return np.array_split(usable, -(-len(usable) // BLOCK)) if len(usable) else []


def _cut(mjd: np.ndarray, mag: np.ndarray, mag_err: np.ndarray, offsets: np.ndarray, block: np.ndarray) -> Arrays:
    place = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in block])
    ends = np.concatenate([[0], np.cumsum(np.diff(offsets)[block])])
    return mjd[place], mag[place], mag_err[place], ends


def _apply(work: Callable[..., Any], arguments: Iterable[Any], count: int, processes: int) -> Iterable[Any]:
    """Results in order; over worker processes where there is work for several and this process may have children."""
    workers = min(processes or len(os.sched_getaffinity(0)), -(-count // 4))
    # a worker that imports a script without a main guard has no parent yet, but its own name
    if workers > 1 and multiprocessing.current_process().name == "MainProcess":
        return _pool(workers).map(work, arguments)
    return map(work, arguments)


def _dtype(name: str) -> type:
    return np.float64 if name in ("frequency", "best_sine", "nested") else np.float32


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,))


def _measure_block(arguments: tuple[Arrays, float, bool, bool]) -> dict[str, np.ndarray]:
    arrays, max_per_day, excise, nested = arguments
    curves = LightCurves.from_ragged(*arrays)
    found = aperiodic(curves, max_per_day, excise)
    if nested:
        found["nested"] = torch.stack(els_ece_eaov(curves, max_per_day, excise=excise), 1)
    return {name: values.numpy() for name, values in found.items()}


def _periodic_block(arguments: tuple[Arrays, dict[str, np.ndarray], np.ndarray]) -> np.ndarray:
    arrays, found, score = arguments
    tensors = {name: torch.from_numpy(values) for name, values in found.items()}
    return periodic(LightCurves.from_ragged(*arrays), tensors, torch.from_numpy(score)).numpy()
