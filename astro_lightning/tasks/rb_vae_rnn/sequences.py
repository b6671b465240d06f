"""Sequences of frame embeddings as batches, and their data module."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.data.whole_file import whole_file
from astro_lightning.tasks.rb_vae_rnn.folds import FoldData
from astro_lightning.tasks.rb_vae_rnn.frames import normalise, take_frames
from astro_lightning.tasks.rb_vae_rnn.pooling import pool_all, pooled_names
from astro_lightning.tasks.rb_vae_rnn.scaling import fit_knots, normal_scores

# A dimension that varies less than this carries nothing; scaled to unit variance it would be noise.
DEAD = 0.03
INPUTS = ("mu", "logvar", "deviation", "step")


class SequenceBatches:
    """Batches of flat frames with offsets, and features of the objects.

    Args:
        records: With ragged `mu` and `logvar`, and `features` where light-curve features are used; or with ragged `frames`, which
            a network with an encoder takes.
        info: `inputs`, `latent_dims`, `max_frames`, `pooled`, `lightcurves` and the statistics of the training frames.
        train: Draw at most `max_frames` frames of each object at random.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool = False) -> None:
        self.records, self.info, self.train = records, info, train
        self.targets = records.targets(info["classes"])
        self.features = object_features(records, info)
        if self.features is not None and info["scaled"]:
            self.features = normal_scores(self.features, np.array(info["feature_knots"]))
        self.middle = np.full((len(records), info["latent_dims"]), np.nan)

    def __getitem__(self, key: Key) -> Batch:
        rows, seed = key
        rows = np.asarray(rows)
        batch: Batch = {"row": torch.from_numpy(rows), "target": torch.from_numpy(self.targets[rows])}
        if "frames" in self.records.ragged:
            pictures, offsets = take_frames(self.records, rows)
            return batch | {"pixels": torch.from_numpy(normalise(pictures)[0]), "offsets": torch.from_numpy(offsets)}
        if self.info["inputs"]:
            frames, offsets = self.frames(rows, np.random.default_rng(seed))
            batch |= {"frames": torch.from_numpy(frames), "offsets": torch.from_numpy(offsets)}
        if self.features is not None:
            batch["features"] = torch.from_numpy(self.features[rows])
        return batch

    def frames(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (total_frames, n_inputs) of these objects and offsets (n + 1,)."""
        d = self.info["latent_dims"]
        mu, offsets = self.records.ragged["mu"].take(rows)
        logvar, _ = self.records.ragged["logvar"].take(rows)
        offsets = offsets // d
        middle = self.middle[rows]
        frames = frame_inputs(mu.reshape(-1, d), logvar.reshape(-1, d), offsets, self.info, middle)
        self.middle[rows] = middle  # medians are slow, and every epoch asks for them
        if not self.train or not self.info["max_frames"]:
            return frames, offsets
        return draw_frames(frames, offsets, self.info["max_frames"], rng)


class SequenceData(FoldData):
    """Embedding sequences with one fold held out.

    Args:
        inputs: What a frame gives: any of mu, logvar, deviation (from the object's median frame), step; [] = no frames.
        pooled: Statistics of the sequence as object features.
        lightcurves: Light-curve features as object features.
        scaled: Object features as normal scores (networks and kernels need them, trees do not).
        max_frames: Frames drawn of a training object; null = all.
        embeddings: File of embeddings that an autoencoder made of this survey's frames; null = the survey holds embeddings.
        latent_dims: Latent dimensions of the embeddings.
        **shared: See `FoldData`.
    """

    def __init__(
        self,
        *,
        inputs: list[str] | None = None,
        pooled: bool = False,
        lightcurves: bool = False,
        scaled: bool = True,
        max_frames: int | None = None,
        embeddings: str | None = None,
        latent_dims: int = 8,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.embeddings, self.latent_dims = embeddings, latent_dims
        self.settings = {
            "inputs": list(inputs or []),
            "pooled": pooled,
            "lightcurves": lightcurves,
            "scaled": scaled,
            "max_frames": max_frames,
        }
        strange = set(inputs or []) - set(INPUTS)
        if strange or not (inputs or pooled or lightcurves):
            raise BadInput(f"inputs={inputs}: choose any of {', '.join(INPUTS)}, or pooled=true, or lightcurves=true")

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> SequenceBatches:
        """Batches of these sequences."""
        return SequenceBatches(records, info, train)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The fold's train, val and test rows; what the experts left ambiguous is no training object."""
        parts = super().rows(records)
        if "ambiguous" in records.flat.column_names:
            parts["train"] = parts["train"][~records.column("ambiguous")[parts["train"]].astype(bool)]
        return parts

    def lengths(self, records: Records) -> np.ndarray | None:
        """Frames of each object, for bucketing."""
        name = "frames" if "frames" in records.ragged else "mu"
        return records.ragged[name].lengths if self.settings["inputs"] else None

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """Scales of the training frames and features, and how the folds were made."""
        d = self.latent_dims
        info: dict[str, Any] = {**self.settings, "latent_dims": d}
        info |= {
            "protocol": self.protocol,
            "n_folds": self.n_folds,
            "fold_seed": self.fold_seed,
            "folds": self.fold is not None,
        }
        info["n_objects"] = len(records)
        if "frames" in records.ragged:
            # Raw frames of a test: scales came with the embeddings on which the head was trained.
            return info
        for name in ("mu", "logvar"):
            values, _ = records.ragged[name].take(train)
            values = values.reshape(-1, d).astype(np.float64)
            info |= {
                f"{name}_mean": values.mean(0).tolist(),
                f"{name}_std": np.where(values.std(0) > DEAD, values.std(0), 1.0).tolist(),
            }
        features = object_features(records, info)
        if features is not None:
            info["n_features"] = int(features.shape[1])
            if info["scaled"]:
                info["feature_knots"] = fit_knots(features[train]).tolist()
            names = pooled_names(d) if info["pooled"] else []
            n_curves = features.shape[1] - len(names)
            info["lightcurve_names"] = records.names.get("features") if n_curves else None
            info["feature_names"] = names + (info["lightcurve_names"] or [f"lightcurve_{i}" for i in range(n_curves)])
            info["feature_blocks"] = [n for n in (len(names), n_curves) if n]
        return info

    def tables(self) -> Iterator[pa.Table]:
        """The survey's, or the embeddings of an autoencoder."""
        if not self.embeddings:
            return super().tables()
        return SnadEmbeddings(latent_dims=self.latent_dims).read(Path(self.embeddings), part=self.part)

    def records_folder(self) -> Path:
        """Embeddings of one autoencoder are its own records."""
        if not self.embeddings:
            return super().records_folder()
        digest = hashlib.sha256(Path(self.embeddings).read_bytes()).hexdigest()[:16]
        return self.cache / "records" / f"embeddings-{digest}"


def frame_inputs(
    mu: np.ndarray, logvar: np.ndarray, offsets: np.ndarray, info: Mapping[str, Any], middle: np.ndarray | None = None
) -> np.ndarray:
    """What a network sees of each frame, (total_frames, n_inputs), from posteriors (total_frames, latent_dims).

    `middle` (objects, latent_dims) holds the median frames that are known, NaN elsewhere, and is filled in.
    """
    mu = (mu.astype(np.float32) - info["mu_mean"]) / info["mu_std"]
    parts = {"mu": mu}
    if "logvar" in info["inputs"]:
        parts["logvar"] = (logvar - info["logvar_mean"]) / info["logvar_std"]
    if "deviation" in info["inputs"]:
        middle = np.full((len(offsets) - 1, mu.shape[1]), np.nan) if middle is None else middle
        for i in np.flatnonzero(np.isnan(middle[:, 0])):
            middle[i] = np.median(mu[offsets[i] : offsets[i + 1]], axis=0)
        parts["deviation"] = mu - np.repeat(middle, np.diff(offsets), axis=0)
    if "step" in info["inputs"]:
        step = np.zeros_like(mu)
        step[1:] = np.abs(np.diff(mu, axis=0))
        step[offsets[:-1]] = 0
        parts["step"] = step
    return np.concatenate([parts[name] for name in info["inputs"]], axis=1).astype(np.float32)


def object_features(records: Records, info: Mapping[str, Any]) -> np.ndarray | None:
    """Features (n_objects, n_features) chosen by `pooled` and `lightcurves`, NaN where missing; None if neither is chosen.

    Light-curve features are those of `lightcurve_names` in that order, all where the training data had no names.

    Raises:
        BadInput: Light-curve features are wanted and absent, or one of them is.
    """
    parts = []
    if info["pooled"]:
        parts.append(_pooled(records, info["latent_dims"]))
    if info["lightcurves"]:
        if "features" not in records.fixed:
            raise BadInput("light-curve features are missing: put lightcurve_features.parquet beside the embeddings")
        values = np.array(records.fixed["features"], dtype=np.float32)
        found, wanted = records.names.get("features"), info.get("lightcurve_names")
        if found and wanted:
            missing = [name for name in wanted if name not in found]
            if missing:
                raise BadInput(
                    f"lightcurve_features.parquet: {len(missing)} of {len(wanted)} columns that were trained on are missing, "
                    f"the first is {missing[0]}: add them, numbers that are not known as NaN"
                )
            values = values[:, [found.index(name) for name in wanted]]
        parts.append(np.where(np.isfinite(values), values, np.nan))
    return np.concatenate(parts, axis=1).astype(np.float32) if parts else None


def draw_frames(
    frames: np.ndarray, offsets: np.ndarray, limit: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` random frames of each object, in their order."""
    lengths = np.diff(offsets)
    if lengths.max(initial=0) <= limit:
        return frames, offsets
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((rng.random(len(frames)), owner))
    rank = np.arange(len(frames)) - np.repeat(offsets[:-1], lengths)
    kept = np.sort(order[rank < limit])
    return frames[kept], np.concatenate([[0], np.cumsum(np.minimum(lengths, limit))]).astype(np.int64)


def _pooled(records: Records, d: int) -> np.ndarray:
    """Pooled statistics, kept beside memory-mapped records so that folds and heads share them."""
    mu, logvar = records.ragged["mu"], records.ragged["logvar"]
    source = getattr(mu.values, "filename", None)
    kept = Path(f"{source}.pooled.npy") if source else None
    if kept and kept.exists():
        values = np.load(kept, mmap_mode="r")
        if values.shape == (len(records), len(pooled_names(d))):
            return values
    flat_mu, offsets = mu.take(np.arange(len(records)))
    flat_logvar, _ = logvar.take(np.arange(len(records)))
    values = pool_all(flat_mu.reshape(-1, d), flat_logvar.reshape(-1, d), offsets // d)
    if kept:
        with whole_file(kept) as temporary, temporary.open("wb") as out:
            np.save(out, values)
    return values
