"""Spectra to batches: which rows train, and what they are balanced by."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import BatchSampler, EpochLoader
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group, split_by_group, train_and_val
from astro_lightning.tasks.spectra.batches import SpectraBatches
from astro_lightning.tasks.spectra.simulate import CLASSES as TWIN_CLASSES

log = logging.getLogger(__name__)

CLASSES = ["STAR", "GALAXY", "QSO"]
MEMBER_STEP = 1_000_003  # between the seeds of an ensemble's members, so that no run's seed meets another's


class SpectraData(RecordsData):
    """Labelled spectra; sky fibres and spectra of unknown kind teach what to reject.

    Args:
        inputs: Form of the network's input, see `conf/task/spectra.yaml`.
        augment: Probabilities of `Augment`; None = none.
        white_noise: Published augmentation, `{strength: k, share: {class number: share}}`; None = none.
        twin: Synthetic spectra mixed into training batches,
            `{share, templates, fractions, min_snr, batch_size}`; None = none.
        fold: Which of `n_folds` to test on, by object; None follows `data.split`.
        n_folds: Number of folds.
        leave_out: Survey to test on while all others train; None = none.
        val_share: With folds or a survey left out, the share of the rest that validates and calibrates.
        known_only: Leave sky fibres and unknown kinds out of training, for networks without a logit for them.
        survey_power: Spectra are drawn in proportion to (class and survey count)^-power; 0 leaves it to `balanced`.
        member: Number in an ensemble over seeds; each draws its own batches and, with folds or a survey left out, its own
            validation spectra, so that together they learn from all the rest.
        **shared: See `RecordsData`.
    """

    part = "all"

    def __init__(
        self,
        *,
        inputs: dict,
        augment: dict | None = None,
        white_noise: dict | None = None,
        twin: dict | None = None,
        fold: int | None = None,
        n_folds: int = 5,
        leave_out: str | None = None,
        val_share: float = 0.15,
        known_only: bool = False,
        survey_power: float = 0.5,
        member: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.seed += MEMBER_STEP * member
        self.inputs, self.augment, self.white_noise = inputs, augment, white_noise
        self.twin = self._taught(twin) if twin and twin["share"] > 0 else None
        self.fold, self.n_folds, self.leave_out, self.val_share = fold, n_folds, leave_out, val_share
        self.known_only, self.survey_power, self.member = known_only, survey_power, member
        self.data = {**self.data, "classes": list(self.data.get("classes") or CLASSES)}

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> SpectraBatches:
        """Channels of these spectra."""
        return SpectraBatches(records, info, train)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """Split by object, stratified by class and survey; unreliable labels (zwarning) are tested but never learnt."""
        labels = records.labels
        surveys = self._surveys(records)
        strata = np.array([f"{label}|{survey}" for label, survey in zip(labels, surveys, strict=True)], object)
        groups, tested = records.groups, None
        if self.leave_out is not None:
            tested = surveys == self.leave_out
            if not tested.any():
                raise BadInput(
                    f"leave_out={self.leave_out} is no survey of these data: {', '.join(sorted(set(surveys)))}"
                )
        elif self.fold is not None:
            tested = folds_by_group(groups, strata, self.n_folds, self.data["split_seed"]) == self.fold
        if tested is None:
            parts = split_by_group(groups, strata, self.data["split"], self.data["split_seed"])
        else:
            seen = np.isin(groups, groups[tested])  # a survey that is left out shares objects with others
            seed = self.data["split_seed"] + MEMBER_STEP * self.member
            parts = train_and_val(groups, strata, np.flatnonzero(~seen), self.val_share, seed)
            parts["test"] = np.flatnonzero(tested)
        has_label = records.labelled
        reliable = (np.nan_to_num(records.column("zwarning", 0.0)) == 0) | ~np.isin(labels, self.data["classes"])
        learnt = has_label & reliable & (np.isin(labels, self.data["classes"]) | (not self.known_only))
        parts = {part: rows[has_label[rows]] for part, rows in parts.items()}
        return parts | {part: parts[part][learnt[parts[part]]] for part in ("train", "val")}

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """The settings of a batch, and the scale of the summary features on the training spectra."""
        settings = {"inputs": self.inputs, "augment": self.augment, "white_noise": self.white_noise, "twin": self.twin}
        if not self.inputs["features"]:
            return settings
        batches = SpectraBatches(records, {"classes": self.data["classes"], "inputs": self.inputs}, train=False)
        flux = np.nan_to_num(np.array(records.fixed["flux"][train[:5000]]))
        values = batches.summary(flux, np.asarray(records.fixed["ivar"][train[:5000]]) > 0)
        return settings | {"feature_scale": [values.mean(0).tolist(), (values.std(0) + 1e-6).tolist()]}

    def train_dataloader(self) -> DataLoader:
        """Training batches, drawn so that neither a class nor a survey rules."""
        loader = super().train_dataloader()
        if self.survey_power > 0 and isinstance(loader, EpochLoader):
            assert isinstance(loader.sampler, BatchSampler)
            rows = loader.sampler.rows
            cell = [
                f"{a}|{b}" for a, b in zip(self.records.labels[rows], self._surveys(self.records)[rows], strict=True)
            ]
            _, code, count = np.unique(cell, return_inverse=True, return_counts=True)
            loader.sampler.weights = count[code] ** -self.survey_power
        return loader

    def _taught(self, twin: dict) -> dict:
        """The twin with templates that are there, and without the classes that no training may see."""
        shares = zip(TWIN_CLASSES, twin["fractions"], strict=False)
        fractions = [0.0 if name in self.unknown else share for name, share in shares]
        return {**twin, "templates": _existing(twin["templates"]), "fractions": fractions}

    @staticmethod
    def _surveys(records: Records) -> np.ndarray:
        if "survey" not in records.flat.column_names:
            return np.full(len(records), "", object)
        return np.array([name or "" for name in records.flat["survey"].to_pylist()], object)


def _existing(templates: str | None) -> str | None:
    if templates and not Path(str(templates)).expanduser().is_dir():
        log.warning("no template spectra in %s: the twin uses its parametric stars alone", templates)
        return None
    return templates
