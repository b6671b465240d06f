"""Light curves to batches: tokens for classification, masked tokens and two views for pretraining."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hydra.utils import get_class

from astro_lightning.core.build import reader_of
from astro_lightning.core.datamodule import RecordsData, files_of
from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.bands import Bands, wavelengths_nm
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.splits import train_and_val
from astro_lightning.tasks.plasticc import batching
from astro_lightning.tasks.plasticc.augment import Augment
from astro_lightning.tasks.plasticc.light_curves import LightCurves
from astro_lightning.tasks.plasticc.masking import mask_blocks, mask_tokens
from astro_lightning.tasks.plasticc.tokenizer_continuous import (
    LSST_WAVELENGTH_NM,
    METADATA,
    ContinuousTokenizer,
    fit_flux_scale,
)

log = logging.getLogger(__name__)


class CurveBatches:
    """Batches of tokenised light curves; `pretrain` in the tokeniser's settings adds masks and views.

    Args:
        records: Light curves.
        info: `tokenizer` settings and statistics of the training data.
        train: Random shift, metadata dropout and augmentation apply.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool) -> None:
        self.records, self.train = records, train
        self.settings = info["tokenizer"]
        self.pretrain = info.get("pretrain")
        self.targets = records.targets(info["classes"])
        self.metadata = {name: records.column(name, np.nan).astype(np.float64) for name in (*METADATA, "specz")}
        wavelength_nm = info.get("wavelength_nm", LSST_WAVELENGTH_NM)
        if self.settings["kind"] == "continuous":
            keys = ("origin", "shift_days", "metadata", "metadata_dropout")
            chosen = {key: self.settings[key] for key in keys if key in self.settings}
            strange = set(chosen.get("metadata") or []) - self.metadata.keys()
            if strange:
                known = ", ".join(self.metadata)
                raise BadInput(f"tokenizer.metadata: {min(strange)!r} is unknown; choose from {known}")
            self.tokenizer = ContinuousTokenizer(info["flux_scale"], wavelength_nm, **chosen)
        elif self.settings["kind"] != "seed":
            raise BadInput(f"tokenizer.kind={self.settings['kind']} is unknown; choose continuous or seed")
        elif self.settings["batching"] == "pair" and not self.pretrain:
            raise BadInput(
                "task.tokenizer.batching=pair joins two objects, which is for pretraining: fine-tune with one_band or all_bands"
            )
        # Absolute times of other surveys do not fit the published day bins, which begin with PLAsTiCC's first night.
        self.first_mjd = float(info["first_mjd"])
        shaken = train and info.get("augment")
        self.augment = Augment(**info["augment"], wavelength_nm=wavelength_nm) if shaken else None
        self._warned = False

    def __getitem__(self, key: Key) -> Batch:
        rows, seed = key
        rng = np.random.default_rng(seed)
        curves = LightCurves.of(self.records, rows)
        metadata = {name: values[rows] for name, values in self.metadata.items()}
        if self.augment is not None:
            curves, metadata = self.augment(curves, metadata, rng)
        batch = (self._pretraining if self.pretrain else self._tokens)(curves, metadata, rng)
        batch["row"] = torch.from_numpy(np.asarray(rows))
        batch["target"] = torch.from_numpy(self.targets[rows])
        return batch

    def _tokens(self, curves: LightCurves, metadata: Mapping[str, np.ndarray], rng: np.random.Generator) -> Batch:
        if self.settings["kind"] == "continuous":
            longest = self.settings.get("max_length")
            if longest and self.train:
                curves, _ = batching.limit_lengths(curves, longest, rng)
            return self.tokenizer(curves, metadata, rng if self.train else None)
        kind = self.settings["batching"]
        if kind == "pair":
            batch, lost = batching.pair(curves, rng, mjd_origin=self.first_mjd)
        else:
            form = {"one_band": batching.one_band, "all_bands": batching.all_bands}[kind]
            # A score must not depend on where in a file an object stands: chance is for training alone.
            chance = rng if self.train or self.pretrain else None
            batch, lost = form(curves, chance, mjd_origin=self.first_mjd)
        if (lost.curves_cut or lost.observations_outside_days) and not self._warned:
            self._warned = True
            log.warning(
                "the seed tokeniser cut %d curves of a batch and met %d observations outside its 1,200 days",
                lost.curves_cut,
                lost.observations_outside_days,
            )
        return batch

    def _pretraining(self, curves: LightCurves, metadata: Mapping[str, np.ndarray], rng: np.random.Generator) -> Batch:
        chosen = self.pretrain
        assert chosen is not None
        tokens = self._tokens(curves, metadata, rng)
        batch: Batch = (
            mask_blocks(tokens, rng, tuple(chosen["fraction"]), chosen["block_length"], chosen["band_probability"])
            if self.settings["kind"] == "continuous"
            else mask_tokens(tokens, rng, chosen["token_fraction"], chosen["max_masked"])
        )
        # The pair form of the seed tokeniser carries its own same-source question.
        if chosen["views"] and "same" not in batch:
            *views, valid = batching.two_views(curves, rng)
            longest = chosen.get("view_length") or np.iinfo(np.int64).max
            views = [batching.limit_lengths(view, longest, rng)[0] for view in views]
            batch["views"] = [self._tokens(view, metadata, rng) for view in views]  # type: ignore[assignment]
            batch["valid"] = torch.from_numpy(valid)
        return batch


class CurvesData(RecordsData):
    """Labelled light curves for fine-tuning and testing.

    Args:
        tokenizer: Settings of the tokeniser: `kind` continuous or seed, see `conf/task/plasticc.yaml`.
        augment: Strengths of `Augment`, training rows only; None or {} = none.
        **shared: See `RecordsData`.
    """

    def __init__(self, *, tokenizer: dict, augment: dict | None = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.tokenizer, self.augment = tokenizer, augment

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> CurveBatches:
        """Tokens of these light curves."""
        return CurveBatches(records, info, train)

    def lengths(self, records: Records) -> np.ndarray:
        """Observations of each object."""
        return records.ragged["mjd"].lengths

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Flux scale and first night of the training objects, with the settings that shape a batch."""
        if not records.ragged["mjd"].lengths[train].any():
            raise BadInput("the training split holds no observation: check the photometry of the survey")
        # One column of a whole survey after the other: together they may not fit into memory.
        flux_scale = fit_flux_scale(records.ragged["flux_err"].take(train)[0])
        mjd, _ = records.ragged["mjd"].take(train)
        origin = 59575.0 if mjd.min() > 59570.0 and mjd.max() < 60780.0 else float(np.floor(mjd.min()))
        own = wavelengths_nm(bands_of(self.data))
        return {
            "tokenizer": self.tokenizer,
            "augment": self.augment,
            "flux_scale": flux_scale,
            "first_mjd": origin,
            # a band that the survey lacks is met in no curve of its own
            "wavelength_nm": np.where(np.isfinite(own), own, LSST_WAVELENGTH_NM).tolist(),
        }


def bands_of(data: Mapping[str, Any]) -> Bands:
    """Whose bands the reader of a `data` block reads; LSST's where it does not say."""
    reader = data.get("reader") or {}
    own = getattr(get_class(reader["_target_"]), "bands", "lsst") if reader.get("_target_") else "lsst"
    return reader.get("bands") or own


class PretrainData(CurvesData):
    """All light curves that no label-based test will use: the labelled training objects and the unlabelled ones.

    Args:
        pretrain: Masking and views, see `conf/task/plasticc.yaml`.
        extra: Further unlabelled survey, `{reader: {_target_: ...}, path: FILE_OR_FOLDER}`, or None.
        val_share: Share of the unlabelled groups kept for validation.
        **shared: See `CurvesData`.
    """

    part = "all"

    def __init__(self, *, pretrain: dict, extra: dict | None = None, val_share: float = 0.05, **shared: Any) -> None:
        super().__init__(**shared)
        self.pretrain, self.extra, self.val_share = pretrain, extra, val_share

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """Labelled objects by the split of the later stages, unlabelled ones into train and val."""
        groups = self.groups(records)
        known, unknown = np.flatnonzero(records.labelled), np.flatnonzero(~records.labelled)
        none = np.empty(0, dtype=np.int64)
        parts = dict.fromkeys(("train", "val", "calibration", "test"), none)
        if len(known):
            parts |= self.split(records, known)
        # A sibling of a held-out object must stay out too.
        held_out = np.unique(np.concatenate([groups[parts["test"]], groups[parts["calibration"]]]).astype(str))
        unknown = unknown[~np.isin(groups[unknown].astype(str), held_out)]
        if len(unknown):
            free = train_and_val(groups, records.labels, unknown, self.val_share, self.data["split_seed"])
            parts |= {part: np.sort(np.concatenate([parts[part], free[part]])) for part in ("train", "val")}
        return parts

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """As for fine-tuning, with the masking."""
        return super().statistics(records, train) | {"pretrain": self.pretrain}

    def records_key(self) -> dict[str, Any]:
        """With the extra survey."""
        key = super().records_key()
        if self.extra:
            key |= {"extra": self.extra, "extra_files": files_of(Path(str(self.extra["path"])).expanduser())}
        return key

    def tables(self) -> Iterator[pa.Table]:
        """With the extra survey."""
        yield from super().tables()
        if self.extra:
            reader = reader_of(self.extra["reader"], self.data["memory_gib"])
            for table in reader.read(Path(str(self.extra["path"])).expanduser(), part="all"):
                # Its labels, where it has any, must not take part in the split of the labelled objects.
                unlabelled = pa.nulls(table.num_rows, pa.string())
                yield table.set_column(table.column_names.index("label"), "label", unlabelled)
