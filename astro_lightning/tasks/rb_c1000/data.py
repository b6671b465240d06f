"""The data modules: a stage of the labelling loop, and folds of stamps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group
from astro_lightning.methods.active_learning import trim_to_share
from astro_lightning.tasks.rb_c1000.batches import RealBogusBatches, pixels, quantile_scale, read_given
from astro_lightning.tasks.rb_c1000.sets import loop_sets
from astro_lightning.tasks.rb_c1000.stamp_features import N_STAMP_FEATURES, stamp_features

ROLES = ("its", "als", "ssls", "random", "full")


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
        known = np.flatnonzero(records.labelled)
        split, sizes = self.data["split"], (self.n_labelled, self.n_pool, self.val_share)
        groups = self.groups(records)[known]
        sets = loop_sets(groups, split["test"], *sizes, self.data["split_seed"], split.get("calibration", 0.0))
        sets = {name: known[rows] for name, rows in sets.items()}
        # Objects without a label can only be asked about.
        unknown = np.setdiff1d(np.arange(len(records)), known)
        sets["pool"] = np.concatenate([sets["pool"], unknown])[: self.n_pool]
        rng = np.random.default_rng([self.data["split_seed"], 1])
        pool, extra, is_real = sets["pool"], np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
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
        train = np.sort(np.concatenate([sets["train"], extra, self._believed(records)]))
        return {
            "train": train,
            "val": sets["val"],
            "calibration": sets["calibration"],
            "test": sets["test"],
            "pool": pool,
        }

    def labelled_targets(self) -> np.ndarray:
        """Class numbers of the training objects that an expert labelled."""
        batches = self.datasets[True]
        return batches.targets[self._labelled()]  # type: ignore[attr-defined]

    def n_labels(self) -> int:
        """How many objects of the training and validation set an expert labelled."""
        return len(self._labelled()) + len(self.splits["val"])

    def _labelled(self) -> np.ndarray:
        return np.setdiff1d(self.splits["train"], self._believed(self.records))

    def _believed(self, records: Records) -> np.ndarray:
        """Rows that are trained on with a label which a model gave."""
        return read_given(Path(self.pseudo), records)[0] if self.pseudo else np.empty(0, dtype=np.int64)

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

    fold: int

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
