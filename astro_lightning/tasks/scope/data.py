"""Light curves of variable stars to batches: the curves, their features, their candidate periods, their tags."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import torch
from rich.progress import track

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group, train_and_val
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.tasks.scope.feature_cache import chunks, measure_chunk, periodic_features
from astro_lightning.tasks.scope.features import WIDTHS
from astro_lightning.tasks.scope.measure import magnitudes, measure
from astro_lightning.tasks.scope.taxonomy import Taxonomy

log = logging.getLogger(__name__)

# A period counts as found within this relative distance of the catalogue's.
PERIOD_TOLERANCE = 0.01


# What was measured of records that are being scored: several networks of one run see the same curves.
_kept: WeakKeyDictionary[Records, dict[str, dict[str, np.ndarray]]] = WeakKeyDictionary()


def _measured(records: Records, rows: np.ndarray, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    kept = _kept.setdefault(records, {})
    key = f"{sorted(settings.items())} {np.asarray(rows).tobytes().hex()}"
    if key not in kept:
        kept[key] = measure(records, rows, **settings)
    return dict(kept[key])


class ScopeBatches:
    """Batches of light curves and features; features are measured on the fly where the records lack them.

    A batch holds `time_d`, `mag`, `mag_err`, `valid` (batch, points), the columns of `features.aperiodic`, `target`
    (class number, -1 unknown), `tags` (batch, n_tags; NaN unknown) and, where the records give a `period`, `right`
    (batch, candidates): 1 for candidates within 1% of it, NaN without a period. `features` is there where periods were
    chosen before.

    Args:
        records: Light curves, with or without features.
        info: `features` settings, `taxonomy`, `tags`, `classes`.
        features: All features at chosen periods, shape (objects, len(FEATURES)), or None.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], features: np.ndarray | None = None) -> None:
        self.records, self.settings, self.features = records, dict(info["features"]), features
        self.target = records.targets(info["classes"])
        taxonomy = Taxonomy.from_config(info["taxonomy"])
        self.tags = taxonomy.targets(records.labels, info["tags"])
        period_d = records.column("period", np.nan).astype(np.float64)
        self.period_d = np.where(period_d > 0, period_d, np.nan)  # 0 and -99 stand for none

    def __getitem__(self, key: Key) -> Batch:
        rows, _seed = key
        curves = LightCurves.from_ragged(*magnitudes(self.records, rows, self.settings["min_gap_d"]))
        if all(name in self.records.fixed for name in WIDTHS):
            found = {name: self.records.fixed[name][rows] for name in WIDTHS}
        else:
            found = _measured(self.records, rows, self.settings)
        batch = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}
        batch |= {"time_d": curves.time_d, "mag": curves.mag, "mag_err": curves.mag_err, "valid": curves.valid}
        distance = np.abs(1 / (found["frequency"] * self.period_d[rows, None]) - 1)
        right = np.where(np.isnan(distance), np.nan, distance < PERIOD_TOLERANCE).astype(np.float32)
        batch |= {
            "row": torch.from_numpy(np.asarray(rows)),
            "target": torch.from_numpy(self.target[rows]),
            "tags": torch.from_numpy(self.tags[rows]),
            "right": torch.from_numpy(right),
            "period_d": torch.from_numpy(self.period_d[rows]),
        }
        if self.features is not None:
            batch["features"] = torch.from_numpy(self.features[rows])
        return batch


class ScopeData(RecordsData):
    """Catalogues of variable stars; features are measured once and kept with the cached records.

    Args:
        taxonomy: Block of `conf/taxonomy`: tags, parents, and the tags of each type.
        tags: Tags to learn; empty takes all tags that the types decide.
        max_per_day: Highest frequency searched, cycles a day.
        min_gap_d: Thin the curves to one observation in this many days (0 = keep all).
        processes: Worker processes for the features; 0 = one for each core.
        excise: Leave out the terrestrial zones of the periodogram.
        fold: Number of the fold that is tested.
        n_folds: 0 = split as `data.split` says; k = k folds by source.
        val_share: Of the sources outside the tested fold.
        score: `.npy` file with the scores of all candidate periods, handed over by the stage that chose periods.
        arguments: Of `RecordsData`.
    """

    def __init__(
        self, *, taxonomy: dict, tags: list[str] | str = "all", max_per_day: float = 20.0, min_gap_d: float = 0.0,
        processes: int = 0, excise: bool = False, score: str | None = None, fold: int = 0, n_folds: int = 0, val_share: float = 0.1,
        **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(**arguments)
        self.taxonomy = Taxonomy.from_config(taxonomy)
        self.taxonomy_block = taxonomy
        self.tags = self._chosen(tags)
        self.features = {"max_per_day": max_per_day, "min_gap_d": min_gap_d, "processes": processes}
        # Only where it is on: what was measured without it keeps its name in the cache.
        self.features |= {"excise": True} if excise else {}
        self.score, self.fold, self.n_folds, self.val_share = score, fold, n_folds, val_share

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The split of `data.split`, or one of k folds."""
        if not self.n_folds:
            return super().rows(records)
        groups, seed = self.groups(records), self.data["split_seed"]
        tested = folds_by_group(groups, records.labels, self.n_folds, seed) == self.fold
        parts = train_and_val(groups, records.labels, np.flatnonzero(~tested), self.val_share, seed)
        return parts | {"test": np.flatnonzero(tested)}

    def _chosen(self, tags: list[str] | str) -> list[str]:
        available = self.taxonomy.decided
        chosen = available if tags == "all" else [tags] if isinstance(tags, str) else list(tags)
        for tag in chosen:
            if tag not in available:
                raise BadInput(
                    f"label={tag} is none of the tags that the types decide ({', '.join(available)}); "
                    f"a label column of a training table is learned by task=scope_table label={tag}"
                )
        return chosen

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Tags and feature settings; what is fitted on features lives in the network's buffers."""
        strange = {label for label in records.labels if label is not None} - set(self.taxonomy.types)
        if strange:
            log.warning(
                "no tags in taxonomy.types, so that no tag is learnt or tested on them: %s", ", ".join(sorted(strange))
            )
        return {"taxonomy": self.taxonomy_block, "tags": self.tags, "features": self.features}

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> ScopeBatches:
        """Batches of any light curves."""
        return ScopeBatches(records, info)

    @cached_property
    def periodic(self) -> np.ndarray | None:
        """Features at the periods that an earlier stage chose."""
        return periodic_features(self.records, Path(self.score), self.features) if self.score else None

    def own_dataset(self, train: bool) -> ScopeBatches:
        """As for any data, with those features."""
        return ScopeBatches(self.records, self.info(), self.periodic)

    def train_hashes(self) -> np.ndarray:
        """Hashes of the curves alone: a file to score has no feature columns."""
        self.setup()
        return object_hashes(Records(self.records.flat, self.records.ragged, {}), self.splits["train"])

    def records_folder(self) -> Path:
        """The cached records' name also says how the features were measured."""
        settings = [f"{value:g}" for key, value in self.features.items() if key != "processes"]
        folder = super().records_folder()
        return folder.with_name(f"{folder.name}-scope1-{'-'.join(settings)}")

    def tables(self) -> Iterator[pa.Table]:
        """With the features of the light curves."""
        for table in super().tables():
            records = Records.from_table(table)
            for rows in track(chunks(len(records)), "features of light curves"):
                found = measure_chunk(self.cache / "features", records, rows, self.features)
                part = table.slice(rows[0], len(rows))
                for name, values in found.items():
                    array = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
                    part = part.append_column(name, array)
                yield part
