"""The published training table to batches: chosen feature columns, dm-dt images, tags decided from float labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.scope.taxonomy import Taxonomy

log = logging.getLogger(__name__)

# A tag whose negatives must be labelled so: nothing but a column of its own says that a star does not vary.
NEGATIVES = {"vnv": ("nonvar", "non-variable")}


class TableBatches:
    """Batches of `features` (batch, columns), NaN where missing, `dmdt` (batch, 676), `tags`, `target` (-1), `row`.

    Args:
        records: One row per light curve, a flat column for each feature and label.
        info: `inputs`, `columns`, `dtypes`, `tags`, `taxonomy`, `threshold`.
    """

    def __init__(self, records: Records, info: Mapping[str, Any]) -> None:
        missing = [name for name in info["inputs"] if name not in records.flat.column_names]
        if missing:
            taker = info["columns"][info["inputs"].index(missing[0])]
            raise BadInput(f"column {missing[0]} is missing, or holds no numbers: features.{taker} takes it")
        if "dmdt" not in records.fixed:
            raise BadInput("column dmdt is missing: give 676 values in each row")
        values = [as_type(records.column(name), kind) for name, kind in zip(info["inputs"], info["dtypes"])]
        self.features = np.column_stack(values).astype(np.float32)
        self.records = records
        self.tags = tag_targets(records, info["tags"], info["taxonomy"], info["threshold"])

    def __getitem__(self, key: Key) -> Batch:
        rows, _seed = key
        return {
            "features": torch.from_numpy(self.features[rows]),
            "dmdt": torch.from_numpy(np.ascontiguousarray(self.records.fixed["dmdt"][rows], np.float32)),
            "tags": torch.from_numpy(self.tags[rows]),
            "target": torch.full((len(rows),), -1),
            "row": torch.from_numpy(np.asarray(rows)),
        }


class TableData(RecordsData):
    """Training tables in the published form, split by source.

    Args:
        features: Column -> `include`, `dtype`, `periodic`, `impute` (see `conf/features`).
        taxonomy: Block of `conf/taxonomy`.
        tags: Tags to learn; `all` takes those of which the table has a column.
        algorithm: Suffix of the periodic columns.
        threshold: A label above it is positive.
        balance: With one tag, learn from as many objects of the commoner side as of the rarer.
        arguments: Of `RecordsData`.
    """

    part = "all"

    def __init__(
        self, *, features: dict, taxonomy: dict, tags: list[str] | str = "all", algorithm: str = "ELS_ECE_EAOV",
        threshold: float = 0.7, balance: bool = False, **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(**arguments)
        self.features = {name: entry for name, entry in features.items() if entry["include"]}
        self.inputs = {name: f"{name}_{algorithm}" if e["periodic"] else name for name, e in self.features.items()}
        self.taxonomy, self.tags = taxonomy, tags
        self.threshold, self.balance = threshold, balance

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Columns, their types and fillings, and the tags; no class but tags."""
        return {
            "classes": [], "counts": [], "columns": list(self.features), "inputs": list(self.inputs.values()),
            "dtypes": [entry["dtype"] for entry in self.features.values()],
            "imputation": [imputation(entry["impute"]) for entry in self.features.values()],
            "taxonomy": self.taxonomy, "tags": self._chosen(records), "threshold": self.threshold,
        }  # fmt: skip

    def _chosen(self, records: Records) -> list[str]:
        taxonomy = Taxonomy.from_config(self.taxonomy)
        there = [tag for tag in taxonomy.tags if label_column(records, tag, taxonomy) is not None]
        chosen = there if self.tags == "all" else [self.tags] if isinstance(self.tags, str) else list(self.tags)
        absent = [tag for tag in chosen if tag not in there]
        if absent or not chosen:
            raise BadInput(f"label {(absent or ['all'])[0]} has no column; there are: {', '.join(there) or 'none'}")
        return chosen

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> TableBatches:
        """Batches of any table that has the columns."""
        return TableBatches(records, info)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The split by source; training rows without a value that must be there are left out, the commoner side thinned."""
        found = super().rows(records)
        whole = np.ones(len(records), bool)
        for name, entry in self.features.items():
            if entry["impute"] == "none":
                whole &= np.isfinite(records.column(self.inputs[name]))
        if not whole[found["train"]].all():
            log.warning(
                "%d of %d training rows lack a value: not learned from",
                (~whole[found["train"]]).sum(),
                len(found["train"]),
            )
        found["train"] = found["train"][whole[found["train"]]]
        if self.balance:
            found["train"] = self._balanced(records, found["train"])
        return found

    def _balanced(self, records: Records, rows: np.ndarray) -> np.ndarray:
        tags = self._chosen(records)
        if len(tags) > 1:
            raise BadInput(
                "balance=true is for one label: choose label=TAG, or give task.stages.classify.module.weight_per_class=true"
            )
        target = tag_targets(records, tags, self.taxonomy, self.threshold)[rows, 0]
        sides = [rows[target == 0], rows[target == 1]]
        rng = np.random.default_rng(self.seed)
        count = min(map(len, sides))
        return np.sort(np.concatenate([rng.choice(side, count, replace=False) for side in sides]))

    def records_key(self) -> dict[str, Any]:
        """With what decides the labels of the records."""
        return super().records_key() | {"taxonomy": self.taxonomy, "threshold": self.threshold}

    def tables(self) -> Iterator[pa.Table]:
        """Records with `label` for the strata of the split and the test metrics: the tags that hold, and `?<tag>` where unsure."""
        taxonomy = Taxonomy.from_config(self.taxonomy)
        for table in super().tables():
            records = Records.from_table(table)
            tags = [tag for tag in taxonomy.tags if label_column(records, tag, taxonomy) is not None]
            words = tag_words(records, tags, self.taxonomy, self.threshold)
            yield table.append_column("label", pa.array(words, pa.string()))


def tag_words(records: Records, tags: list[str], taxonomy_block: Mapping[str, Any], threshold: float) -> list[str]:
    """For each row the tags that hold, and `?<tag>` for those that are not known, in one string."""
    held = tag_targets(records, tags, taxonomy_block, threshold)
    marks = np.where(np.isnan(held), "?", "")
    return [
        " ".join(mark + tag for tag, mark, value in zip(tags, of_row, row) if value != 0)
        for of_row, row in zip(marks, held)
    ]


def as_type(values: np.ndarray, kind: str) -> np.ndarray:
    """Values rounded as their type rounds them, missing ones still missing; float64, shape (rows,)."""
    out = values.astype(np.float64)
    known = np.isfinite(out)
    out[known] = out[known].astype(kind)
    return out


def imputation(strategy: str) -> str:
    """Of a column that training rows must have, the median stands in for a value that an object to score lacks."""
    return "median" if strategy == "none" else strategy


def label_column(records: Records, tag: str, taxonomy: Taxonomy) -> str | None:
    """The column of a tag: its name, or its name in words."""
    return next((name for name in (tag, taxonomy.labels[tag]) if name in records.flat.column_names), None)


def tag_targets(records: Records, tags: list[str], taxonomy_block: Mapping[str, Any], threshold: float) -> np.ndarray:
    """1 where a label is above the threshold, 0 where not, NaN where not known; shape (rows, tags), float32."""
    taxonomy = Taxonomy.from_config(taxonomy_block)
    out = np.full((len(records), len(tags)), np.nan, np.float32)
    for i, tag in enumerate(tags):
        name = label_column(records, tag, taxonomy)
        if name is None:
            continue
        value = records.column(name).astype(np.float64)
        out[:, i] = np.where(np.isnan(value), np.nan, value > threshold)
        against = next((n for n in NEGATIVES.get(tag, ()) if n in records.flat.column_names), None)
        if against is not None:
            sure = records.column(against).astype(np.float64) > threshold
            out[(out[:, i] == 0) & ~sure, i] = np.nan
    return out
