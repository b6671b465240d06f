"""Cross-validation folds: as published, or with whole survey fields held out."""

from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records

PROTOCOLS = ("field", "random")
PUBLISHED_SEED = 7


def fold_numbers(
    ids: np.ndarray, groups: np.ndarray, labels: np.ndarray, protocol: str, n_folds: int, seed: int
) -> np.ndarray:
    """Fold of each object, the same whatever the order of the rows.

    Args:
        ids: (n,) identifiers.
        groups: (n,) fields.
        labels: (n,) class names.
        protocol: `field` keeps objects of one field together, folds of nearly equal size; `random` is stratified by class.
        n_folds: At least 2.
        seed: Of the choice.

    Raises:
        BadInput: Unknown protocol, or fewer objects or fields than folds.
    """
    ids = np.asarray(ids)
    names, code = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    if protocol not in PROTOCOLS:
        raise BadInput(f"protocol={protocol} is unknown; choose {' or '.join(PROTOCOLS)}")
    if not 2 <= n_folds <= (len(names) if protocol == "field" else len(ids)):
        raise BadInput(
            f"n_folds={n_folds} of {len(ids)} objects in {len(names)} fields: choose between 2 and that number"
        )
    if protocol == "random":
        order = np.argsort(ids, kind="stable")
        fold = np.empty(len(ids), dtype=np.int64)
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for k, (_, held_out) in enumerate(splitter.split(order, np.asarray(labels).astype(str)[order])):
            fold[order[held_out]] = k
        return fold
    size = np.bincount(code)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold_of_field = np.empty(len(names), dtype=np.int64)
    load = np.zeros(n_folds, dtype=np.int64)
    # Largest field first into the emptiest fold.
    for field in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        fold_of_field[field] = load.argmin()
        load[load.argmin()] += size[field]
    return fold_of_field[code]


def fold_split(fold: np.ndarray, groups: np.ndarray, k: int, val_share: float, seed: int) -> dict[str, np.ndarray]:
    """Rows of train, val and test when fold `k` is held out; val is a share of the other groups.

    Raises:
        BadInput: The share leaves train or val empty.
    """
    rest = np.flatnonzero(fold != k)
    unique, code = np.unique(np.asarray(groups)[rest].astype(str), return_inverse=True)
    order = np.random.default_rng([seed, k]).permutation(len(unique))
    taken = np.cumsum(np.bincount(code)[order]) <= max(1.0, val_share * len(rest))
    is_val = np.isin(code, order[taken if taken.any() else slice(0, 1)])
    if is_val.all() or not is_val.any():
        raise BadInput(f"val_share={val_share} leaves no object for training or none for validation")
    none = np.empty(0, dtype=np.int64)
    return {"train": rest[~is_val], "val": rest[is_val], "calibration": none, "test": np.flatnonzero(fold == k)}


class FoldData(RecordsData):
    """Base of data modules with one fold held out.

    Args:
        fold: Number of the test fold; None splits once by `data.split`.
        n_folds: How many.
        protocol: `field` or `random`.
        fold_seed: Of the folds.
        val_share: Share of the other folds' objects kept for validation.
        **shared: See `RecordsData`.
    """

    def __init__(
        self,
        *,
        fold: int | None = None,
        n_folds: int = 5,
        protocol: str = "field",
        fold_seed: int = PUBLISHED_SEED,
        val_share: float = 0.1,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.fold, self.n_folds, self.protocol, self.fold_seed = fold, n_folds, protocol, fold_seed
        self.val_share = val_share

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The fold's train, val and test rows."""
        if self.fold is None:
            return super().rows(records)
        fold = fold_numbers(records.ids, records.groups, records.labels, self.protocol, self.n_folds, self.fold_seed)
        groups = records.groups if self.protocol == "field" else records.ids
        return fold_split(fold, groups, self.fold, self.val_share, self.fold_seed)
