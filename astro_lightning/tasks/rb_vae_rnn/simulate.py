"""Synthetic twin: sequences of survey frames of variable stars, and of what only looks like them."""

import numpy as np
import pyarrow as pa

from astro_lightning.data.surveys.snad_embeddings import FIELD_DIVISOR, field_of
from astro_lightning.tasks.rb_vae_rnn.vae import SIDE_PX

ARTEFACTS = ("ghost", "track", "spike", "column", "defocus")
OBJECTS_PER_FIELD = 10


def simulate(n_objects: int, seed: int, part: str = "all", n_frames: int = 24) -> pa.Table:
    """Records of frames with labels.

    Args:
        n_objects: Number of objects.
        seed: Of all random choices.
        part: `unlabelled` drops the labels.
        n_frames: Mean number of frames of an object.

    Returns:
        Table with `id`, `label`, `group` (field), `kind` and `frames` (flattened, NaN beyond detector edges).
    """
    rng = np.random.default_rng(seed)
    artefact = rng.random(n_objects) < 0.5
    kind = np.where(artefact, rng.choice(ARTEFACTS, n_objects), "star")
    lengths = rng.integers(n_frames // 2, n_frames + n_frames // 2 + 1, n_objects)
    owner = np.repeat(np.arange(n_objects), lengths)
    frames = _frames(kind[owner], owner, n_objects, rng)
    offsets = np.concatenate([[0], np.cumsum(lengths)]) * SIDE_PX**2
    label = np.where(artefact, "artefact", "other").tolist()
    return pa.table(
        {
            "id": _oids(n_objects),
            "label": pa.nulls(n_objects, pa.string()) if part == "unlabelled" else pa.array(label),
            "group": field_of(_oids(n_objects)),
            "kind": kind.tolist(),
            "frames": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(frames.ravel())),
        }
    )


def simulate_embeddings(
    n_objects: int, seed: int, part: str = "all", n_frames: int = 60, latent_dims: int = 8
) -> pa.Table:
    """Records of embeddings: a random walk about an object's own mean; frames of an artefact jump now and then.

    Args:
        n_objects: Number of objects.
        seed: Of all random choices.
        part: `unlabelled` drops the labels.
        n_frames: Mean number of frames.
        latent_dims: Numbers per frame.

    Returns:
        Table with `id`, `label`, `group`, `mu`, `logvar` and eight `features` that stand for those of light curves.
    """
    rng = np.random.default_rng(seed)
    artefact = rng.random(n_objects) < 0.5
    lengths = rng.integers(n_frames // 2, n_frames + n_frames // 2 + 1, n_objects)
    owner = np.repeat(np.arange(n_objects), lengths)
    centre = rng.normal(0, 1, (n_objects, latent_dims)) + 0.6 * artefact[:, None] * (np.arange(latent_dims) < 2)
    jumps = (rng.random(len(owner)) < 0.08) & artefact[owner]
    mu = (
        centre[owner]
        + rng.normal(0, 0.3, (len(owner), latent_dims))
        + 1.5 * jumps[:, None] * rng.normal(0, 1, (len(owner), latent_dims))
    )
    logvar = rng.normal(-2, 0.5, mu.shape) + 0.5 * jumps[:, None]
    features = rng.normal(0, 1, (n_objects, 8)) + 0.7 * artefact[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]) * latent_dims, pa.int32())
    label = pa.array(np.where(artefact, "artefact", "other").tolist())
    return pa.table(
        {
            "id": _oids(n_objects),
            "label": pa.nulls(n_objects, pa.string()) if part == "unlabelled" else label,
            "group": field_of(_oids(n_objects)),
            "mu": pa.ListArray.from_arrays(offsets, pa.array(mu.ravel().astype(np.float32))),
            "logvar": pa.ListArray.from_arrays(offsets, pa.array(logvar.ravel().astype(np.float32))),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel().astype(np.float32)), 8),
        }
    )


def _oids(n_objects: int) -> np.ndarray:
    """Identifiers like those of ZTF: field, r band, number."""
    number = np.arange(n_objects)
    return (300 + number // OBJECTS_PER_FIELD) * FIELD_DIVISOR + 2 * FIELD_DIVISOR // 10 + number


def _frames(kind: np.ndarray, owner: np.ndarray, n_objects: int, rng: np.random.Generator) -> np.ndarray:
    n = len(kind)
    y, x = (np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2).astype(np.float32)[:, None]

    def of_object(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, n_objects)[owner][:, None, None]

    def of_frame(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1))

    def spot(dy: np.ndarray, dx: np.ndarray, width: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (dy**2 + dx**2) / width**2)

    seeing = of_frame(1.0, 1.8)
    dy, dx = y - of_frame(-0.3, 0.3), x - of_frame(-0.3, 0.3)
    frames = rng.normal(0, 1, (n, SIDE_PX, SIDE_PX)) * of_object(0.5, 1.5)
    for _ in range(2):
        frames += of_object(0, 40) * spot(y - of_object(-13, 13), x - of_object(-13, 13), seeing)
    is_kind = {name: (kind == name)[:, None, None] for name in ("star", *ARTEFACTS)}
    frames += is_kind["star"] * of_object(10, 60) * of_frame(0.6, 1.2) * spot(dy, dx, seeing)
    faint = of_object(5, 20) * spot(dy, dx, seeing)
    angle, turning = of_object(0, np.pi), of_frame(0, np.pi)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    radius = np.hypot(y - of_object(-4, 4), x - of_object(-4, 4))
    ghost = of_frame(4, 15) * (np.abs(radius - of_object(5, 9)) < of_object(1, 3))
    track = (
        of_frame(10, 50) * (np.abs(dy * np.cos(turning) - dx * np.sin(turning)) < 1.2) * (rng.random((n, 1, 1)) < 0.3)
    )
    spike = of_frame(10, 30) * np.exp(-np.abs(across) / 0.8)
    column = of_frame(5, 25) * (np.abs(dx) < 1)
    defocus = of_frame(10, 40) * (np.abs(np.hypot(dy, dx) - of_frame(3, 5)) < 1.3)
    for name, light in zip(ARTEFACTS, (ghost, faint + track, spike, column, defocus), strict=True):
        frames += is_kind[name] * light
    cut = np.broadcast_to((rng.random(n) < 0.03)[:, None, None] & (x < -of_frame(4, 10)), frames.shape)
    return np.where(cut, np.nan, frames).astype(np.float32)
