"""Tables of light-curve statistics whose training objects have spectroscopic redshifts beside the photometric ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.feature_data import FeatureBatches, Table
from astro_lightning.tasks.plasticc.table_features import TableData, by_name, table_features
from astro_lightning.tasks.plasticc.tokenizer_continuous import METADATA

# How far the redshift that features were made for lies from the photometric one, in ln(1 + z).
OFFSET = "redshift_offset"
SMALLEST_Z = 0.003


def features_at(
    statistics: np.ndarray, metadata: Mapping[str, np.ndarray], offset: np.ndarray, names: list[str]
) -> np.ndarray:
    """Features of n objects, were they at other redshifts than the photometric ones.

    Args:
        statistics: Shape (n, 66).
        metadata: `photoz`, `photoz_err`, `mwebv`, `ddf` (n,).
        offset: In ln(1 + z), shape (n,).
        names: The features, in the order wanted.

    Returns:
        Shape (n, len(names)), float32, infinite ones as NaN.
    """
    photoz = metadata["photoz"]
    moved = np.maximum((1 + photoz) * np.exp(offset) - 1, SMALLEST_Z)
    table = table_features(by_name(statistics), {**metadata, "photoz": np.where(offset == 0, photoz, moved)})
    table[OFFSET] = offset
    values = np.column_stack([table[name] for name in names]).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return values


class RedshiftBatches(FeatureBatches):
    """Batches that let a model ask what the features were at another redshift.

    Beside what `FeatureBatches` gives: `statistics` (batch, 66) and `metadata` (batch, 4). Batches to train on have `features`
    at the spectroscopic redshift where it is known, `seen`, the features at the photometric one, and `offset` (batch,) between
    the two, NaN where one is lacking or the object is Galactic.
    """

    def __init__(self, data: type[TableData], records: Records, info: Mapping[str, Any], train: bool) -> None:
        super().__init__(data, records, info)
        self.metadata = {name: records.column(name, np.nan).astype(np.float64) for name in METADATA}
        self.told: np.ndarray | None = None
        if train:
            z, photoz = records.column("specz", np.nan).astype(np.float64), self.metadata["photoz"]
            known = (z > 0) & (photoz > 0)
            self.offset = np.where(
                known, np.log1p(np.where(known, z, 0)) - np.log1p(np.where(known, photoz, 0)), np.nan
            )
            names, statistics = list(info["features"]), np.asarray(records.fixed["statistics"])
            self.told = features_at(statistics, self.metadata, np.nan_to_num(self.offset), names)

    def __getitem__(self, key: Key) -> Batch:
        batch = super().__getitem__(key)
        rows = batch["row"].numpy()
        batch["statistics"] = torch.from_numpy(np.asarray(self.records.fixed["statistics"][rows], np.float32))
        batch["metadata"] = torch.from_numpy(np.column_stack([values[rows] for values in self.metadata.values()]))
        if self.told is not None:
            batch["seen"], batch["offset"] = batch["features"], torch.from_numpy(self.offset[rows])
            batch["features"] = torch.from_numpy(self.told[rows])
        return batch


class RedshiftTableData(TableData):
    """`TableData` for a `RedshiftMixture`."""

    @classmethod
    def features(
        cls, records: Records, rows: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> Table:
        """Features at the photometric redshift."""
        return super().features(records, rows, info, rng) | {OFFSET: np.zeros(len(rows))}

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> RedshiftBatches:
        """Features of these objects; with `train` at their spectroscopic redshifts."""
        return RedshiftBatches(cls, records, info, train)
