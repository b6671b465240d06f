"""Frames as batches for the autoencoder, and their data module."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from astro_lightning.core.loader import Batch, Key
from astro_lightning.data.records import Records
from astro_lightning.tasks.rb_vae_rnn.folds import FoldData
from astro_lightning.tasks.rb_vae_rnn.vae import SIDE_PX

PIXELS = SIDE_PX * SIDE_PX


def normalise(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each frame (n, 28, 28) between 0 and 1; missing pixels become 0 and are told apart by the mask, same shape."""
    mask = np.isfinite(frames)
    low = np.where(mask, frames, np.inf).min((1, 2), keepdims=True)
    high = np.where(mask, frames, -np.inf).max((1, 2), keepdims=True)
    span = np.where(high > low, high - low, 1)
    scaled = np.where(mask, (frames - np.where(np.isfinite(low), low, 0)) / span, 0)
    return scaled.astype(np.float32), mask.astype(np.float32)


def take_frames(records: Records, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames (total, 28, 28) of these objects and offsets (n + 1,)."""
    values, offsets = records.ragged["frames"].take(rows)
    return values.reshape(-1, SIDE_PX, SIDE_PX), offsets // PIXELS


class FrameBatches:
    """Random frames of each object, turned at random while training; all frames otherwise.

    Args:
        records: With ragged `frames`.
        info: `frames_per_object` and `rotation_deg`.
        train: Draw and turn.
    """

    def __init__(self, records: Records, info: Mapping[str, Any], train: bool = False) -> None:
        self.records, self.info, self.train = records, info, train

    def __getitem__(self, key: Key) -> Batch:
        rows, seed = np.asarray(key[0]), key[1]
        rng = np.random.default_rng(seed)
        lengths = self.records.ragged["frames"].lengths[rows] // PIXELS
        starts = self.records.ragged["frames"].offsets[:-1][rows] // PIXELS
        if self.train:
            n = self.info["frames_per_object"]
            index = (starts[:, None] + (rng.random((len(rows), n)) * lengths[:, None]).astype(np.int64)).ravel()
            offsets = np.arange(len(rows) + 1) * n
        else:
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        whole = self.records.ragged["frames"].values.reshape(-1, SIDE_PX, SIDE_PX)
        frames, mask = (torch.from_numpy(x) for x in normalise(whole[index]))
        if self.train and self.info["rotation_deg"]:
            frames, mask = turn_at_random(frames, mask, self.info["rotation_deg"], rng)
        return {
            "row": torch.from_numpy(rows),
            "target": torch.full((len(rows),), -1),
            "pixels": frames,
            "mask": mask,
            "offsets": torch.from_numpy(offsets.astype(np.int64)),
        }


def turn_at_random(
    frames: torch.Tensor, mask: torch.Tensor, limit_deg: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate each frame by up to +-limit_deg about its centre; what turns in from outside is masked."""
    angle = torch.from_numpy(np.deg2rad(rng.uniform(-limit_deg, limit_deg, len(frames))).astype(np.float32))
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    matrix = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = torch.nn.functional.affine_grid(matrix, [len(frames), 1, SIDE_PX, SIDE_PX], align_corners=False)
    both = torch.nn.functional.grid_sample(torch.stack([frames, mask], 1), grid, align_corners=False)
    turned = (both[:, 1] > 0.99).float()
    return both[:, 0] * turned, turned


class FrameData(FoldData):
    """Frames of all objects but those of the test fold.

    Args:
        sees_all: Train on the test fold's frames too, as published; their labels are never used here.
        frames_per_object: Frames drawn of an object in a batch.
        rotation_deg: Largest turn of a training frame; 0 = none.
        **shared: See `FoldData`.
    """

    def __init__(
        self,
        *,
        sees_all: bool = False,
        frames_per_object: int = 16,
        rotation_deg: float = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.sees_all, self.frames_per_object, self.rotation_deg = sees_all, frames_per_object, rotation_deg

    @classmethod
    def dataset(cls, records: Records, info: Mapping[str, Any], train: bool = False) -> FrameBatches:
        """Batches of these frames."""
        return FrameBatches(records, info, train)

    def rows(self, records: Records) -> dict[str, np.ndarray]:
        """The fold's rows."""
        parts = super().rows(records)
        if self.fold is not None and self.sees_all:
            parts["train"] = np.sort(np.concatenate([parts["train"], parts["test"]]))
        return parts

    def statistics(self, records: Records, train: np.ndarray) -> dict[str, Any]:
        """What shapes a batch."""
        return {"frames_per_object": self.frames_per_object, "rotation_deg": self.rotation_deg}
