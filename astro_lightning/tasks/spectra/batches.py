"""A batch of spectra: augmentation, published preprocessing, channels and features, for all rows at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.records import Records
from astro_lightning.tasks.spectra.augment import Augment
from astro_lightning.tasks.spectra.blackbody import fit_planck, fit_wien, wien_curve
from astro_lightning.tasks.spectra.inputs import Rebin, network_input
from astro_lightning.tasks.spectra.normalise import add_white_noise, bridged, clip_outliers, normalise, smooth
from astro_lightning.tasks.spectra.simulate import CLASSES as TWIN_CLASSES
from astro_lightning.tasks.spectra.simulate import Twin

FEATURES = ("temperature", "amplitude", "r2", "scatter", "planck_temperature", "mean", "std")
_TWINS: dict[tuple[str, float], Twin] = {}


def targets(labels: np.ndarray, classes: list[str]) -> np.ndarray:
    """Class numbers (n,) int64; len(classes) for labels that are none of them (SKY, UNKNOWN), -1 without a label."""
    number = {name: i for i, name in enumerate(classes)}
    return np.array([-1 if label is None else number.get(label, len(classes)) for label in labels], dtype=np.int64)


class SpectraBatches:
    """Batches of spectra.

    Args:
        records: Spectra on the grid 3800 + 2 i A.
        info: `classes`, `inputs`, and for training `augment`, `white_noise` and `twin`, see `conf/task/spectra.yaml`.
        train: Augmentation and spectra of the synthetic twin apply.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool) -> None:
        self.records, self.train = records, train
        self.settings = info["inputs"]
        self.targets = targets(records.labels, info["classes"])
        self.twin_targets = targets(np.array(TWIN_CLASSES, object), info["classes"])
        self.extragalactic = np.isin([*info["classes"], "none of them"], ["GALAXY", "QSO"])
        self.z = records.column("z", np.nan).astype(np.float32)
        self.augment = Augment(**info["augment"]) if train and info.get("augment") else None
        self.white_noise = info.get("white_noise") if train else None
        self.twin = info.get("twin") if train else None
        self.features = list(self.settings["features"])
        self.feature_scale = info.get("feature_scale")
        self.rebin = Rebin(self.settings["n_bins"], self.settings["log"])

    def __getitem__(self, key: Key) -> Batch:
        rows, seed = key
        rng = np.random.default_rng(seed)
        flux = np.array(self.records.fixed["flux"][rows], dtype=np.float32)
        ivar = np.nan_to_num(np.array(self.records.fixed["ivar"][rows], dtype=np.float32), posinf=0, neginf=0)
        target = self.targets[rows]
        if self.augment is not None:
            flux, ivar = self.augment(flux, ivar, self.z[rows], self.extragalactic[target], rng)
        if self.twin:
            flux, ivar, target = self._with_twin(flux, ivar, target, rng)
        batch = self.prepare(flux, ivar, target, rng)
        batch["target"] = torch.from_numpy(target)
        batch["row"] = torch.from_numpy(np.resize(rows, len(target)))
        if not self.train:
            batch |= self._facts(rows)
        return batch

    def prepare(self, flux: np.ndarray, ivar: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> Batch:
        """Channels `inputs` (n, C, bins) and, where chosen, `features` (n, F) of spectra."""
        chosen = self.settings
        mask = (ivar > 0) & np.isfinite(flux)
        flux = np.where(mask, flux, 0).astype(np.float32)
        if chosen["clip_sigma"] or chosen["smooth"]:
            flux = bridged(flux, mask)
        if chosen["clip_sigma"]:
            flux = clip_outliers(flux, mask, chosen["clip_sigma"])
        if chosen["smooth"]:
            flux = smooth(flux)
        if self.white_noise:
            share = {int(number): value for number, value in self.white_noise["share"].items()}
            flux = add_white_noise(flux, mask, target, share, rng, self.white_noise["strength"])
        if chosen["form"] == "published":
            channels = [normalise(flux, mask, chosen["normalisation"])]
            if chosen["blackbody_channel"]:
                curve = wien_curve(fit_wien(flux, mask))
                channels.append(normalise(flux - curve, mask, chosen["normalisation"]))
            batch = {"inputs": torch.from_numpy(np.stack([*channels, mask.astype(np.float32)], 1))}
        else:
            weight = np.where(mask, ivar, 0).astype(np.float32)
            batch = {"inputs": network_input(torch.from_numpy(flux), torch.from_numpy(weight), self.rebin)}
        if self.features:
            values = self.summary(flux, mask)
            mean, std = self.feature_scale or (0.0, 1.0)
            batch["features"] = torch.from_numpy(((values - np.float32(mean)) / np.float32(std)).clip(-10, 10))
        return batch

    def summary(self, flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The chosen summary features (n, F), not yet scaled."""
        unit = normalise(flux, mask, "unit")
        wien = fit_wien(flux, mask).features()
        known = dict(zip(FEATURES, wien.T, strict=False))
        known["mean"], known["std"] = unit.mean(1), unit.std(1)
        if "planck_temperature" in self.features:
            known["planck_temperature"] = fit_planck(flux, mask).features()[:, 0]
        return np.stack([known[name] for name in self.features], 1).astype(np.float32)

    def _with_twin(
        self, flux: np.ndarray, ivar: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Real spectra and, as a share of the batch, new synthetic ones; with a share of 1 the synthetic alone."""
        assert self.twin is not None
        share = float(self.twin["share"])
        if share >= 1:
            flux, ivar, target = flux[:0], ivar[:0], target[:0]
            n = int(self.twin["batch_size"])
        else:
            n = round(len(flux) * share / (1 - share))
        fractions = np.asarray(self.twin["fractions"], float)
        label = rng.choice(len(fractions), n, p=fractions / fractions.sum())
        twin = twin_of(self.twin)
        new_flux, new_ivar, _, _ = twin.draw(label, int(rng.integers(2**62)))
        target = np.concatenate([target, self.twin_targets[label]])
        return np.concatenate([flux, new_flux]), np.concatenate([ivar, new_ivar]), target

    def _facts(self, rows: np.ndarray) -> Batch:
        """What the tables of the report need: survey, signal-to-noise ratio and the pipeline's warning."""
        flat = self.records.flat
        survey = (
            np.array(flat["survey"].to_pylist(), object)[rows] if "survey" in flat.column_names else [""] * len(rows)
        )
        facts: dict[str, Any] = {"survey": [str(name or "") for name in survey]}
        for name, default in (("snr", np.nan), ("zwarning", 0.0)):
            facts[name] = torch.from_numpy(self.records.column(name, default).astype(np.float32)[rows])
        return facts


def twin_of(settings: Mapping[str, Any]) -> Twin:
    """The generator of these settings, made once in a process."""
    key = (str(settings["templates"]), float(settings["min_snr"]))
    if key not in _TWINS:
        folder = Path(str(settings["templates"])).expanduser() if settings["templates"] else None
        _TWINS[key] = Twin(folder, min_snr=float(settings["min_snr"]))
    return _TWINS[key]
