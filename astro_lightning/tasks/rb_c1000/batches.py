"""Stamps or features of detections as batches, with the labels that were given to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.rb_c1000.preprocess import preprocess, turn
from astro_lightning.tasks.rb_c1000.stamp_features import N_STAMP_FEATURES, stamp_features

CHANNELS = 3
FEATURE_CLIP = 3.5
KNOTS = 129


class RealBogusBatches:
    """Batches with `stamp` or `features`, `target`, and for pseudo labels `soft` and `weight`.

    Args:
        records: With fixed `stamp` or `features`.
        info: `preprocess`, `side_px`, `quantiles` and, for a training set with pseudo labels, `pseudo` (a file).
        train: Turn and mirror stamps; use pseudo labels.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool = False) -> None:
        self.records, self.info, self.train = records, info, train
        self.targets = records.targets(info["classes"])
        self.soft = np.where(self.targets < 0, 0.5, self.targets).astype(np.float32)
        self.weight = np.ones(len(records), dtype=np.float32)
        if info["stamp_features"]:
            self.kept = np.empty((len(records), N_STAMP_FEATURES), dtype=np.float32)
            self.measured = np.zeros(len(records), dtype=bool)
        if train and info.get("learn_score"):
            score = records.column("score", np.nan)
            self.soft = np.where(np.isfinite(score), score, self.soft).astype(np.float32)
        for name in ("selected", "pseudo") if train else ():
            if info.get(name):
                rows, soft, weight = read_given(Path(info[name]), records)
                self.soft[rows], self.weight[rows] = soft, weight
                # The truth of a pool object is not ours to see: metrics of training follow the label that was given.
                self.targets[rows] = (soft > 0.5).astype(self.targets.dtype)

    def __getitem__(self, key: Key) -> Batch:
        rows, seed = np.asarray(key[0]), key[1]
        batch: Batch = {
            "row": torch.from_numpy(rows),
            "target": torch.from_numpy(self.targets[rows]),
            "soft": torch.from_numpy(self.soft[rows]),
            "weight": torch.from_numpy(self.weight[rows]),
        }
        if "stamp" in self.records.fixed and not self.info["stamp_features"]:
            batch["stamp"] = self.stamps(rows, np.random.default_rng(seed))
        else:
            batch["features"] = torch.from_numpy(self.features(rows))
        return batch

    def stamps(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Preprocessed stamps (n, 3, side, side), turned and mirrored together while training."""
        x = torch.from_numpy(preprocess(pixels(self.records, rows), self.info["preprocess"], self.info["side_px"]))
        if not self.train:
            return x
        # A few groups with one turn each cost less than a turn for every stamp.
        kind = rng.integers(0, 8, len(rows))
        out = torch.empty_like(x)
        for k in np.unique(kind):
            chosen = torch.from_numpy(kind == k)
            out[chosen] = turn(x[chosen], int(k) // 2, bool(k % 2))
        return out

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features as they are (`quantiles` is None), or on the unit normal scale of the training objects, missing ones flagged."""
        if self.info["stamp_features"]:
            values = self._stamp_features(rows)
        else:
            values = np.array(self.records.fixed["features"][rows], dtype=np.float32)
        if self.info.get("quantiles") is None:
            return values
        grid = np.asarray(self.info["quantiles"])
        normal = np.asarray(self.info["normal"])
        scaled = np.stack([np.interp(values[:, i], grid[i], normal) for i in range(values.shape[1])], axis=1)
        missing = ~np.isfinite(values)
        scaled[missing] = 0
        return np.concatenate([scaled, missing[:, self.info["may_miss"]]], axis=1).astype(np.float32)

    def _stamp_features(self, rows: np.ndarray) -> np.ndarray:
        """Features of stamps, each measured once: trees see their objects again in every epoch."""
        new = rows[~self.measured[rows]]
        if len(new):
            self.kept[new] = stamp_features(pixels(self.records, new))
            self.measured[new] = True
        return self.kept[rows]


def pixels(records: Records, rows: np.ndarray) -> np.ndarray:
    """Stamps (n, 3, side, side) of these rows."""
    flat = records.fixed["stamp"][rows]
    side = round((flat.shape[1] / CHANNELS) ** 0.5)
    return flat.reshape(-1, CHANNELS, side, side)


def rows_of(records: Records, ids: np.ndarray) -> np.ndarray:
    """Rows of identifiers.

    Raises:
        BadInput: One of them is not in the records.
    """
    where = {identifier: row for row, identifier in enumerate(records.ids.tolist())}
    missing = [identifier for identifier in ids.tolist() if identifier not in where]
    if missing:
        raise BadInput(f"labels were given for {missing[0]}, which is not among the {len(where)} objects of the data")
    return np.array([where[identifier] for identifier in ids.tolist()], dtype=np.int64)


def read_given(path: Path, records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, probabilities of the second class and weights in a file of labels that an expert or a model gave."""
    table = pq.read_table(path)
    return rows_of(records, table["id"].to_numpy()), table["soft"].to_numpy(), table["weight"].to_numpy()


def quantile_scale(values: np.ndarray) -> dict[str, Any]:
    """Knots that map each feature (n, n_features) to the unit normal distribution, and the features that may be missing."""
    from scipy.stats import norm

    share = np.linspace(0, 1, KNOTS)
    knots = np.nan_to_num(np.nanquantile(np.where(np.isfinite(values), values, np.nan), share, axis=0)).T
    # np.interp needs knots that rise; ties get the smallest step there is.
    rising = np.maximum.accumulate(knots + np.arange(KNOTS) * 1e-9 * (1 + np.abs(knots)), axis=1)
    normal = np.clip(norm.ppf(np.clip(share, 1e-6, 1 - 1e-6)), -FEATURE_CLIP, FEATURE_CLIP)
    may_miss = np.flatnonzero(~np.isfinite(values).all(0))
    return {"quantiles": rising.tolist(), "normal": normal.tolist(), "may_miss": may_miss.tolist()}
