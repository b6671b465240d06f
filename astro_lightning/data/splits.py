"""Splits by group: train, val, calibration, test, or k folds."""

from collections.abc import Mapping

import numpy as np

from astro_lightning.data.errors import BadInput

PARTS = ("train", "val", "calibration", "test")


def split_by_group(
    groups: np.ndarray, labels: np.ndarray, fractions: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Divide rows so that no group is torn apart, class by class in the same proportions.

    Args:
        groups: (n,) what may not be torn apart (object, source, field).
        labels: (n,) class names or None; a group is stratified by the label of its first row.
        fractions: Part -> share of the groups; they sum to 1. Parts with share 0 come back empty.
        seed: Same seed, same split, whatever the order of the rows (of groups of one label each).

    Returns:
        Part -> sorted row numbers.

    Raises:
        BadInput: Fractions do not sum to 1, a part is unknown, or a part with a share above 0 would be empty.
    """
    unknown = set(fractions) - set(PARTS)
    if unknown or not abs(sum(fractions.values()) - 1) <= 1e-6 or min(fractions.values()) < 0:  # nan is no share either
        raise BadInput(f"data.split must give shares of {', '.join(PARTS)} that sum to 1, got {dict(fractions)}")
    unique, first, member = np.unique(np.asarray(groups).astype(str), return_index=True, return_inverse=True)
    strata = np.asarray(labels, dtype=object)[first].astype(str)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(unique))
    # Rank within the class, spread evenly over (0, 1): a cut at cumulative shares is then stratified.
    order = order[np.argsort(strata[order], kind="stable")]
    names, start, count = np.unique(strata[order], return_index=True, return_counts=True)
    # Each class starts at its own random offset, so that small classes do not all fall into the first part.
    offset = rng.random(len(names))
    position = (np.arange(len(order)) - np.repeat(start, count) + np.repeat(offset, count)) / np.repeat(count, count)
    share = np.empty(len(unique))
    share[order] = position
    bounds = np.cumsum([fractions.get(part, 0.0) for part in PARTS])
    part_of = np.searchsorted(bounds, np.minimum(share, bounds[-1] - 1e-12), side="right")
    if fractions.get("train", 0) > 0:
        # A class of one or two objects must at least be learnt from.
        learnt = np.isin(strata, strata[part_of == 0])
        _, lonely = np.unique(np.where(learnt, "", strata), return_index=True)
        part_of[lonely[~learnt[lonely]]] = 0
    rows = {part: np.flatnonzero(part_of[member] == i) for i, part in enumerate(PARTS)}
    for part, fraction in fractions.items():
        if fraction > 0 and not len(rows[part]):
            raise BadInput(
                f"data.split.{part}={fraction} of {len(unique)} objects leaves that part empty: more data or a larger share"
            )
    return rows


def train_and_val(
    groups: np.ndarray, labels: np.ndarray, rows: np.ndarray, val_share: float, seed: int
) -> dict[str, np.ndarray]:
    """Some rows divided into `train` and `val` as `split_by_group` does; the other parts are empty, for others to fill."""
    parts = split_by_group(groups[rows], labels[rows], {"train": 1 - val_share, "val": val_share}, seed)
    return {part: rows[chosen] for part, chosen in parts.items()}


def folds_by_group(groups: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Fold number of each row, shape (n,), groups kept whole and classes spread evenly (k-fold cross-validation)."""
    unique, first, member = np.unique(np.asarray(groups).astype(str), return_index=True, return_inverse=True)
    if n_folds < 2 or n_folds > len(unique):
        raise BadInput(
            f"{n_folds} folds of {len(unique)} groups: the number of folds must be between 2 and the number of groups"
        )
    strata = np.asarray(labels, dtype=object)[first].astype(str)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(unique))
    order = order[np.argsort(strata[order], kind="stable")]
    fold = np.empty(len(unique), dtype=np.int64)
    fold[order] = np.arange(len(order)) % n_folds
    return fold[member]
