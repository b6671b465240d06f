"""Which observations make up a batch: cuts, joined bands, pairs of views."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from astro_lightning.data.bands import BANDS
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.tokenizer_seed import CLS, MJD_ORIGIN, PAD, SEP, day_bins, flux_tokens

MAX_POINTS_OF_BAND = 72
N_BANDS = len(BANDS)


class Lost(NamedTuple):
    """What did not fit into the tokens of a batch: warn about it."""

    curves_cut: int
    observations_outside_days: int


def limit_lengths(
    curves: LightCurves, max_length: int, rng: np.random.Generator | None, rule: str = "window"
) -> tuple[LightCurves, int]:
    """At most `max_length` observations of each object.

    Args:
        curves: light curves.
        max_length: longest length allowed.
        rng: which observations stay; None spreads them evenly over each curve, whatever the rule.
        rule: `window` keeps a random run of consecutive observations, `subsample` a random set of them, in order of
            time.

    Returns:
        The cut light curves and the number of objects that were cut.
    """
    if rule not in ("window", "subsample"):
        raise BadInput(f"rule: {rule!r} is unknown; use window or subsample")
    lengths = curves.lengths
    n_cut = int((lengths > max_length).sum())
    if not n_cut:
        return curves, 0
    if rng is None:
        longest = np.maximum(lengths, 1)[curves.owner]
        kept = np.minimum(lengths, max_length)[curves.owner]
        return curves.keep((curves.position + 1) * kept // longest > curves.position * kept // longest), n_cut
    if rule == "window":
        place = curves.position - rng.integers(0, np.maximum(lengths - max_length, 0) + 1)[curves.owner]
    else:
        place = _random_rank(curves, rng)
    return curves.keep((place >= 0) & (place < max_length)), n_cut


def one_band(
    curves: LightCurves,
    rng: np.random.Generator | None,
    max_length: int = 75,
    mjd_origin: float = MJD_ORIGIN,
) -> tuple[dict[str, torch.Tensor], Lost]:
    """``[CLS] band`` with one random observed band of each object; without `rng` the band with the most observations.

    A band keeps at most 72 observations, and no more than fit into `max_length` tokens; from a longer one a random
    subset stays. Special tokens have band 0 and day 0: their own token tells them apart.

    Returns:
        tokens, band, day, segment (B, L) int64; mask (B, L) bool, true = not padding; special (B, L) bool, true = CLS
        or SEP; and what was lost.
    """
    banded = curves.by_band(N_BANDS)
    rows = _random_band(banded, rng)[:, None]
    return _join(banded, rows, rng, max_length, mjd_origin, separate=False)


def pair(
    curves: LightCurves,
    rng: np.random.Generator,
    max_length: int = 150,
    mjd_origin: float = MJD_ORIGIN,
) -> tuple[dict[str, torch.Tensor], Lost]:
    """``[CLS] a [SEP] b [SEP]``: a is a random band of the object, b another band of it or a band of another object.

    Both cases have probability one half; an object seen in one band only has no other band and always gets another
    object; one that is alone in its batch, as the last of an epoch may be, is joined to itself. The objects of the batch
    must be distinct. Cuts and tensors are as in `one_band`, with segment 1 from b on, and `same` (B,) int64, 1 = same object.
    """
    n_objects = len(curves)
    banded = curves.by_band(N_BANDS)
    first = _random_band(banded, rng)
    another_band = _random_band(banded, rng, excluded=first)
    other = (np.arange(n_objects) + rng.integers(1, max(n_objects, 2), n_objects)) % n_objects
    another_object = _random_band(banded, rng)[other]
    several_bands = (_counts(banded) > 0).sum(axis=1) > 1
    same = several_bands & (rng.random(n_objects) < 0.5)
    rows = np.stack((first, np.where(same, another_band, another_object)), axis=1)
    batch, lost = _join(banded, rows, rng, max_length, mjd_origin, separate=True)
    return batch | {"same": torch.from_numpy((same | (n_objects == 1)).astype(np.int64))}, lost


def all_bands(
    curves: LightCurves,
    rng: np.random.Generator | None,
    max_length: int = 450,
    mjd_origin: float = MJD_ORIGIN,
) -> tuple[dict[str, torch.Tensor], Lost]:
    """``[CLS] b0 [SEP] .. b5 [SEP]``, bands in a random order for each object (in their own without `rng`); else as `one_band`."""
    order = np.tile(np.arange(N_BANDS), (len(curves), 1))
    if rng is not None:
        order = rng.permuted(order, axis=1)
    rows = np.arange(len(curves))[:, None] * N_BANDS + order
    return _join(curves.by_band(N_BANDS), rows, rng, max_length, mjd_origin, separate=True)


def two_views(
    curves: LightCurves, rng: np.random.Generator, time_fraction: float = 0.5
) -> tuple[LightCurves, LightCurves, np.ndarray]:
    """Two disjoint views of each object: two random sets of its bands, or its earlier and later half, in random order.

    Args:
        curves: light curves.
        rng: chooses the views.
        time_fraction: share of objects split in time; those with a single band always are.

    Returns:
        Both views, each with all objects, and (B,) bool: both views of the object have observations.
    """
    n_objects, owner = len(curves), curves.owner
    seen = _counts(curves.by_band(N_BANDS)) > 0
    # bands that were seen come first in a random order; the first half of them is one view
    rank = np.argsort(np.argsort(np.where(seen, rng.random(seen.shape), 2.0), axis=1), axis=1)
    in_bands = (rank < (seen.sum(axis=1, keepdims=True) // 2))[owner, curves.band]
    in_time = curves.position < (curves.lengths // 2)[owner]
    by_time = (rng.random(n_objects) < time_fraction) | (seen.sum(axis=1) < 2)
    swap = rng.random(n_objects) < 0.5
    first = np.where(by_time[owner], in_time, in_bands) ^ swap[owner]
    views = curves.keep(first), curves.keep(~first)
    return *views, (views[0].lengths > 0) & (views[1].lengths > 0)


def _random_rank(curves: LightCurves, rng: np.random.Generator) -> np.ndarray:
    order = np.lexsort((rng.random(len(curves.mjd)), curves.owner))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = curves.position
    return rank


def _counts(banded: LightCurves) -> np.ndarray:
    return banded.lengths.reshape(-1, N_BANDS)


def _random_band(
    banded: LightCurves, rng: np.random.Generator | None, excluded: np.ndarray | None = None
) -> np.ndarray:
    """(B,) row in `banded` of a random observed band of each object, not row `excluded` if there is another."""
    counts = _counts(banded)
    if rng is None:
        return np.arange(len(counts)) * N_BANDS + counts.argmax(axis=1)
    priority = rng.random((len(banded) // N_BANDS, N_BANDS)) + (counts > 0) * 2.0
    if excluded is not None:
        priority.reshape(-1)[excluded] -= 1.0
    return np.arange(len(priority)) * N_BANDS + priority.argmax(axis=1)


def _join(
    banded: LightCurves,
    rows: np.ndarray,
    rng: np.random.Generator | None,
    max_length: int,
    mjd_origin: float,
    separate: bool,
) -> tuple[dict[str, torch.Tensor], Lost]:
    """Tokens of the bands `rows` (B, P) behind CLS, one after the other, each followed by SEP if `separate`."""
    n_objects, n_parts = rows.shape
    room = (max_length - 1 - n_parts) // n_parts
    if room < 1:
        raise BadInput(
            f"max_length: {max_length} tokens leave no room for {n_parts} bands; use at least {2 * n_parts + 1}"
        )
    parts, n_cut = limit_lengths(banded.take(rows.ravel()), min(room, MAX_POINTS_OF_BAND), rng, "subsample")
    days, n_outside = day_bins(parts.mjd, mjd_origin)
    tokens = flux_tokens(parts.flux)

    lengths = parts.lengths.reshape(n_objects, n_parts) + separate
    ends = 1 + np.cumsum(lengths, axis=1)
    starts = ends - lengths
    row = parts.owner // n_parts
    column = starts.ravel()[parts.owner] + parts.position
    shape = (n_objects, int(ends[:, -1].max(initial=1)))

    batch: dict[str, np.ndarray] = {name: np.zeros(shape, dtype=np.int64) for name in ("band", "day", "segment")}
    batch["tokens"] = np.full(shape, PAD, dtype=np.int64)
    batch["tokens"][:, 0] = CLS
    if separate:
        batch["tokens"][np.arange(n_objects)[:, None], ends - 1] = SEP
    batch["special"] = batch["tokens"] != PAD
    batch["tokens"][row, column] = tokens
    batch["band"][row, column] = parts.band
    batch["day"][row, column] = days
    place = np.arange(shape[1])
    batch["mask"] = place < ends[:, -1:]
    if n_parts == 2:
        batch["segment"] = ((place >= ends[:, :1]) & batch["mask"]).astype(np.int64)
    return {name: torch.from_numpy(array) for name, array in batch.items()}, Lost(n_cut, n_outside)
