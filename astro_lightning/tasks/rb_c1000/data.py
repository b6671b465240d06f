"""Stamps or features as batches, and the data module of a stage of the labelling loop."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group
from astro_lightning.methods.active_learning import trim_to_share
from astro_lightning.tasks.rb_c1000.preprocess import preprocess, turn
from astro_lightning.tasks.rb_c1000.sets import loop_sets
from astro_lightning.tasks.rb_c1000.stamp_features import N_STAMP_FEATURES, stamp_features

ROLES = ("its", "als", "ssls", "random", "full")
CHANNELS = 3
FEATURE_CLIP = 3.5


class RealBogusBatches:
    """Batches with `stamp` or `features`, `target`, and for pseudo labels `soft` and `weight`.

    Args:
        records: With fixed `stamp` or `features`.
        info: `preprocess`, `side_px`, `quantiles` and, for a training set with pseudo labels, `pseudo` (a file).
        train: Turn and mirror stamps; use pseudo labels.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool = False) -> None:
        self.records, self.info, self.train = records, info, train
        classes = {name: i for i, name in enumerate(info["classes"])}
        self.targets = np.array([classes.get(label, -1) for label in records.labels])
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


class LoopData(RecordsData):
    """One stage's share of a survey: labelled, pool, validation (never training data) and test.

    Objects without a label join the pool.

    Args:
        role: `its` (labelled alone), `als` (and the selected), `ssls` (and pseudo labels), `random` (as many at random as would be
            selected), `full` (all pool labels).
        n_labelled: Objects labelled at the beginning.
        n_pool: Objects in the pool; null = all that remain.
        n_select: Objects that the expert labels.
        val_share: Share of the labelled kept for validation in all stages.
        share_tolerance: Trim selected objects until their share of real ones is this close to that of the labelled; null
            wastes none.
        stamp_features: Give `stamp_features` instead of pixels (trees need it).
        preprocess: Of stamps, see `preprocess`.
        side_px: Crop stamps to this side; null = as they are.
        unit_normal: Bring features to the unit normal scale (networks need it, trees do not).
        selected: File of the selected objects with their labels.
        pseudo: File of the pseudo labels to train on.
        committee: File of the pseudo labels that this stage's own are averaged with.
        earlier: File of the earlier stages' scores.
        **shared: See `RecordsData`.
    """

    part = "all"

    def __init__(
        self,
        *,
        role: str = "its",
        n_labelled: int = 900,
        n_pool: int | None = 10000,
        n_select: int = 100,
        val_share: float = 0.4,
        share_tolerance: float | None = None,
        stamp_features: bool = False,
        preprocess: str = "robust",
        side_px: int | None = None,
        unit_normal: bool = False,
        selected: str | None = None,
        pseudo: str | None = None,
        committee: str | None = None,
        earlier: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if role not in ROLES:
            raise BadInput(f"role={role} is unknown; choose {', '.join(ROLES)}")
        self.role, self.n_labelled, self.n_pool, self.n_select = role, n_labelled, n_pool, n_select
        self.val_share, self.share_tolerance = val_share, share_tolerance
        self.stamp_features, self.preprocess, self.side_px, self.unit_normal = (
            stamp_features,
            preprocess,
            side_px,
            unit_normal,
        )
        self.selected, self.pseudo, self.committee, self.earlier = selected, pseudo, committee, earlier

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> RealBogusBatches:
        """Batches of these records."""
        return RealBogusBatches(records, info, train)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The loop's sets: `train` of this stage, fixed `val` and `test`, and what remains of the `pool`."""
        known = np.flatnonzero([label is not None for label in records.labels])
        split, sizes = self.data["split"], (self.n_labelled, self.n_pool, self.val_share)
        groups = self.groups(records)[known]
        sets = loop_sets(groups, split["test"], *sizes, self.data["split_seed"], split.get("calibration", 0.0))
        sets = {name: known[rows] for name, rows in sets.items()}
        # Objects without a label can only be asked about.
        unknown = np.setdiff1d(np.arange(len(records)), known)
        sets["pool"] = np.concatenate([sets["pool"], unknown])[: self.n_pool]
        rng = np.random.default_rng([self.data["split_seed"], 1])
        pool, extra, is_real = sets["pool"], np.empty(0, dtype=np.int64), np.empty(0)
        if self.role in ("random", "full"):
            extra = np.intersect1d(pool, known)  # what no expert labelled teaches nothing
            extra = rng.permutation(extra)[: self.n_select] if self.role == "random" else extra
        elif self.selected:
            extra, soft, _ = read_given(Path(self.selected), records)
            is_real = soft > 0.5
        pool = np.setdiff1d(pool, extra)
        if self.share_tolerance is not None and len(is_real):
            share = (records.labels[sets["train"]] == "real").mean()
            extra = extra[trim_to_share(is_real.astype(int), share, self.share_tolerance, rng)]
        believed = read_given(Path(self.pseudo), records)[0] if self.pseudo else np.empty(0, dtype=np.int64)
        train = np.sort(np.concatenate([sets["train"], extra, believed]))
        return {
            "train": train,
            "val": sets["val"],
            "calibration": sets["calibration"],
            "test": sets["test"],
            "pool": pool,
        }

    def labelled_targets(self) -> np.ndarray:
        """Class numbers of the training objects that an expert labelled."""
        batches = self._datasets[True]
        return batches.targets[self._labelled()]  # type: ignore[attr-defined]

    def n_labels(self) -> int:
        """How many objects of the training and validation set an expert labelled."""
        return len(self._labelled()) + len(self.splits["val"])

    def _labelled(self) -> np.ndarray:
        assert self.records is not None
        believed = read_given(Path(self.pseudo), self.records)[0] if self.pseudo else np.empty(0, dtype=np.int64)
        return np.setdiff1d(self.splits["train"], believed)

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Scales of the training features; the files that shape training batches; earlier stages' scores."""
        info: dict[str, Any] = {"preprocess": self.preprocess, "side_px": self.side_px, "role": self.role}
        info |= {"stamp_features": self.stamp_features, "selected": self.selected, "pseudo": self.pseudo}
        info["earlier"] = json.loads(Path(self.earlier).read_text()) if self.earlier else {}
        if "features" not in records.fixed and not self.stamp_features:
            return info | {"stamp_px": self.side_px or pixels(records, train[:1]).shape[-1]}
        if not self.unit_normal:
            n = N_STAMP_FEATURES if self.stamp_features else records.fixed["features"].shape[1]
            return info | {"quantiles": None, "n_features": n}
        values = stamp_features(pixels(records, train)) if self.stamp_features else records.fixed["features"][train]
        info |= quantile_scale(np.array(values, dtype=np.float64))
        return info | {"n_features": values.shape[1] + len(info["may_miss"])}


class FoldData(RecordsData):
    """Stamps with one fold of objects held out, for an ensemble of cross-validation.

    Args:
        fold: Number of the test fold.
        n_folds: How many.
        stamp_features: Give `stamp_features` instead of pixels.
        learn_score: Learn the records' `score` (another classifier's probability) instead of the labels made from it.
        preprocess: Of pixels, see `preprocess`.
        side_px: Crop stamps to this side; null = as they are.
        **shared: See `RecordsData`.
    """

    def __init__(
        self,
        *,
        fold: int,
        n_folds: int = 5,
        stamp_features: bool = True,
        learn_score: bool = False,
        preprocess: str = "robust",
        side_px: int | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.fold, self.n_folds, self.learn_score = fold, n_folds, learn_score
        self.stamp_features, self.preprocess, self.side_px = stamp_features, preprocess, side_px

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> RealBogusBatches:
        """Batches of these records."""
        return RealBogusBatches(records, info, train)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """Fold `fold` is the test set, a tenth of the next fold's groups the validation set."""
        part = folds_by_group(self.groups(records), records.labels, 10 * self.n_folds, self.data["split_seed"])
        fold = part % self.n_folds
        val = part == (self.fold + 1) % self.n_folds
        none = np.empty(0, dtype=np.int64)
        train = np.flatnonzero((fold != self.fold) & ~val)
        return {
            "train": train,
            "val": np.flatnonzero(val),
            "calibration": none,
            "test": np.flatnonzero(fold == self.fold),
            "pool": none,
        }

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """What shapes a batch."""
        side = self.side_px or pixels(records, train[:1]).shape[-1]
        sizes = {"n_features": N_STAMP_FEATURES} if self.stamp_features else {"stamp_px": side}
        chosen = {"preprocess": self.preprocess, "side_px": self.side_px, "learn_score": self.learn_score}
        return {**sizes, **chosen, "stamp_features": self.stamp_features, "quantiles": None, "earlier": {}}


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


def quantile_scale(values: np.ndarray, n_knots: int = 129) -> dict[str, Any]:
    """Knots that map each feature (n, n_features) to the unit normal distribution, and the features that may be missing."""
    from scipy.stats import norm

    share = np.linspace(0, 1, n_knots)
    knots = np.nan_to_num(np.nanquantile(np.where(np.isfinite(values), values, np.nan), share, axis=0)).T
    # np.interp needs knots that rise; ties get the smallest step there is.
    rising = np.maximum.accumulate(knots + np.arange(n_knots) * 1e-9 * (1 + np.abs(knots)), axis=1)
    normal = np.clip(norm.ppf(np.clip(share, 1e-6, 1 - 1e-6)), -FEATURE_CLIP, FEATURE_CLIP)
    may_miss = np.flatnonzero(~np.isfinite(values).all(0))
    return {"quantiles": rising.tolist(), "normal": normal.tolist(), "may_miss": may_miss.tolist()}
