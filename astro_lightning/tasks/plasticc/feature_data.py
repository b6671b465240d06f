"""Objects to rows of hand features, for boosted trees."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.utils.data import DataLoader

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch, Key, whole
from astro_lightning.data.bands import wavelengths_nm
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group, train_and_val
from astro_lightning.data.whole_file import whole_file
from astro_lightning.tasks.plasticc.augment import end_early
from astro_lightning.tasks.plasticc.data import bands_of
from astro_lightning.tasks.plasticc.extinction import deredden, extinction_law
from astro_lightning.tasks.plasticc.features import Table, light_curve_features
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.redshift_shift import draw_redshift, shift_redshift
from astro_lightning.tasks.plasticc.tokenizer_continuous import METADATA

# Objects whose features are made together: memory stays bounded, and the records of a whole survey can be scored.
CHUNK = 500
# A copy that a survey would not have found is no training object.
DETECTIONS, MIN_DETECTIONS = "curve_n_above_5", 2
# Raised whenever a feature changes its meaning, so that no cache outlives it.
VERSION = 3

# Also for the worker processes of a loader, which begin as copies of this one.
_REMEMBERED: WeakKeyDictionary[Records, dict[str, np.ndarray]] = WeakKeyDictionary()


class FeatureBatches:
    """Batches of `features` (batch, n_features), `target`, `weight`, `row`.

    Args:
        data: The data module's class, which knows how to make features.
        records: The objects.
        info: Names of the features and settings.

    Attributes:
        copied: Rows and features of moved copies that join each batch, or None.
    """

    def __init__(self, data: type["FeatureData"], records: Records, info: Mapping[str, Any]) -> None:
        self.data, self.records, self.info = data, records, info
        self.targets = records.targets(info["classes"])
        counts = np.maximum(np.asarray(info["counts"], dtype=np.float64), 1)
        weight = counts ** -float(info["balance"])
        self.weight = (weight * counts.sum() / (weight * counts).sum()).astype(np.float32)
        self.copied: tuple[np.ndarray, np.ndarray] | None = None

    def __getitem__(self, key: Key) -> Batch:
        rows, _seed = key
        features = self.data.remembered(self.records, self.info)[rows]
        if self.copied is not None:
            mine = np.isin(self.copied[0], rows)
            rows, features = (
                np.concatenate([rows, self.copied[0][mine]]),
                np.concatenate([features, self.copied[1][mine]]),
            )
        return {
            "row": torch.from_numpy(rows),
            "features": torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)),
            "target": torch.from_numpy(self.targets[rows]),
            "weight": torch.from_numpy(self.weight[self.targets[rows]]),
        }


class FeatureData(RecordsData):
    """Hand features of light curves.

    Args:
        fold: The fold of the objects that is tested; None splits by `data.split`. With `data.train_column` the fold of the
            trainable objects that is left for calibration.
        n_folds: Folds of the objects, groups kept whole, classes spread evenly.
        val_share: Share of the remaining groups kept for validation.
        deredden: Correct fluxes for Galactic extinction, but for objects of which the records say that they are (`dereddened`).
        balance: Weight of a class is count^-balance: 0 = none, 1 = all classes alike.
        copies: Copies of each training object, moved to other redshifts; those with too few detections are left out.
        redshift_shift: How far copies are moved, the `strength` of `draw_redshift`; 0 = they stay where they are.
        end_early: Copies end some days after the first detection, evenly in the logarithm from one day to all of them.
        label_shift: The class proportions of a table that is scored are estimated from the whole table (see
            `trees.TreesModule`).
        **shared: See `RecordsData`.
    """

    def __init__(
        self,
        *,
        fold: int | None = None,
        n_folds: int = 5,
        val_share: float = 0.05,
        deredden: bool = True,
        balance: float = 0.0,
        copies: int = 0,
        redshift_shift: float = 1.2,
        end_early: bool = False,
        label_shift: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.fold, self.n_folds, self.val_share = fold, n_folds, val_share
        self._names: list[str] = []
        self.settings: dict[str, Any] = {
            "deredden": deredden,
            "balance": balance,
            "copies": copies,
            "redshift_shift": redshift_shift,
            "end_early": end_early,
            "label_shift": label_shift,
        }

    # ---- what a survey of another kind overrides

    @classmethod
    def features(
        cls, records: Records, rows: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> Table:
        """Features of some objects, name -> (n,); with `rng` those of augmented copies."""
        curves = LightCurves.of(records, rows)
        metadata = {name: records.column(name, np.nan).astype(np.float64)[rows] for name in METADATA}
        wavelength_nm = wavelengths_nm(info["bands"])
        if info["deredden"]:
            # It is for the survey of the object to say, not for that of the training: the two may differ.
            done = records.column("dereddened", False).astype(bool)[rows]
            curves = deredden(curves, np.where(done, 0.0, metadata["mwebv"]), extinction_law(wavelength_nm))
        if rng is not None and info["redshift_shift"]:
            curves, metadata = _moved(curves, metadata, wavelength_nm, float(info["redshift_shift"]), rng)
        if rng is not None and info["end_early"]:
            curves = end_early(curves, rng)
        return light_curve_features(curves, metadata, wavelength_nm)

    # ---- shared

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> FeatureBatches:
        """Features of these objects."""
        return FeatureBatches(cls, records, info)

    @classmethod
    def matrix(
        cls, records: Records, rows: np.ndarray, info: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Features (n, n_features) float32 in the order of `info["features"]`, infinite ones as NaN."""
        values = np.empty((len(rows), len(info["features"])), np.float32)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            table = cls.features(records, rows[part], info, rng)
            values[part] = np.column_stack([table[name] for name in info["features"]])
            values[part][~np.isfinite(values[part])] = np.nan
        return values

    @classmethod
    def remembered(cls, records: Records, info: Mapping[str, Any]) -> np.ndarray:
        """Features of all records, made once however many checkpoints of an ensemble ask for them."""
        kept, key = _REMEMBERED.setdefault(records, {}), cls._key(info)
        if key not in kept:
            kept[key] = cls.matrix(records, np.arange(len(records)), info)
        return kept[key]

    @classmethod
    def _key(cls, info: Mapping[str, Any]) -> str:
        return json.dumps([cls.__qualname__, info["features"], info["deredden"], info["bands"]])

    def setup(self, stage: str | None = None) -> None:
        """Open the records and the features kept beside them; make these where there are none yet."""
        if hasattr(self, "records"):
            return
        super().setup(stage)
        info = self.statistics(self.records, self.splits["train"])
        self._names = info["features"]
        every = np.arange(len(self.records))
        _REMEMBERED.setdefault(self.records, {})[self._key(info)] = self._kept(
            "features", [info["bands"]], lambda: self.matrix(self.records, every, info)
        )

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Names of the features, bands and settings."""
        settings = {**self.settings, "bands": bands_of(self.data)}
        return {**settings, "features": list(type(self).features(records, train[:2], settings))}

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The chosen fold is tested, or all outside `data.train_column`, or the test share of `data.split`."""
        labels, groups = records.labels, self.groups(records)
        known = np.flatnonzero(records.labelled)
        inside = self.trainable(records)[known]
        if self.fold is None and inside.all():
            return super().rows(records)
        known, outside, fold = known[inside], known[~inside], np.empty(0, dtype=np.int64)
        if self.fold is not None:
            numbers = folds_by_group(groups[known], labels[known], self.n_folds, self.data["split_seed"])
            known, fold = known[numbers != self.fold], known[numbers == self.fold]
        parts = train_and_val(groups, labels, known, self.val_share, self.data["split_seed"])
        # Where others are the test, a fold is left to calibrate with.
        held = {"calibration": fold, "test": outside} if len(outside) else {"calibration": outside, "test": fold}
        return parts | held

    def loader(self, part: str) -> DataLoader:
        """Batches of any part; the training part with its moved copies."""
        return whole(self.part_loader(part, train=part == "train"))

    def own_dataset(self, train: bool) -> FeatureBatches:
        """With the moved copies, which are trained on."""
        batches = self.dataset(self.records, self.info(), train)
        if train and self.settings["copies"]:
            batches.copied = self._copies()
        return batches

    def _copies(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and features of the moved copies of the training objects: made once, as trees need all at once, and kept."""
        # Folds share the copies of all objects that one of them trains on, and each takes those of its own training objects.
        parts = [part for part in self.splits if part != "test" or not self.data.get("train_column")]
        sources = np.unique(np.concatenate([self.splits[part] for part in parts]))
        sources = self.splits["train"] if self.fold is None else sources
        rows, info = np.tile(sources, self.settings["copies"]), self.info()
        key = [hashlib.sha256(rows.tobytes()).hexdigest(), self.settings["redshift_shift"], self.seed]
        key += ["end_early"] if self.settings["end_early"] else []
        values = self._kept(
            "copies", key, lambda: self.matrix(self.records, rows, info, np.random.default_rng(self.seed))
        )
        used = np.isin(rows, self.splits["train"])
        if self.settings["redshift_shift"]:
            used &= ~(values[:, info["features"].index(DETECTIONS)] < MIN_DETECTIONS)
        return rows[used], values[used]

    def _kept(self, name: str, key: list[Any], make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array beside the records, made where it is not there yet."""
        of_features = [VERSION, type(self).__qualname__, self._names, self.settings["deredden"]]
        digest = hashlib.sha256(json.dumps([*of_features, *key]).encode()).hexdigest()[:12]
        file = self.records_folder() / f"{name}-{digest}.npy"
        if not file.exists():
            with whole_file(file) as temporary, temporary.open("wb") as out:
                np.save(out, make())
        return np.load(file, mmap_mode="r")


def _moved(
    curves: LightCurves,
    metadata: dict[str, np.ndarray],
    wavelength_nm: np.ndarray,
    strength: float,
    rng: np.random.Generator,
) -> tuple[LightCurves, dict[str, np.ndarray]]:
    """Each object at another redshift, its photo-z moved along."""
    z = metadata["photoz"]
    new_z = draw_redshift(z, rng, strength)
    # A band that the survey lacks lies beyond all others, where nothing is interpolated.
    curves, moved = shift_redshift(curves, z, new_z, rng, np.nan_to_num(wavelength_nm, nan=1e6).tolist())
    stretch = np.where(moved, (1 + new_z) / (1 + np.where(moved, z, 0)), 1.0)
    changed = {"photoz": np.where(moved, new_z, z), "photoz_err": metadata["photoz_err"] * stretch}
    return curves, metadata | changed
