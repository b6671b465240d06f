"""Synthetic twin of the published training table: features that follow a few float labels, two curves of each source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

# Label -> share of the sources; `e` lies within `pnp` within `vnv`.
SHARES = {"vnv": 0.7, "pnp": 0.5, "e": 0.25, "i": 0.1}
LEVELS = (0.75, 1.0)
MISSING = 0.05


def simulate(n_objects: int, seed: int, features: Mapping[str, Any], algorithm: str = "ELS_ECE_EAOV") -> pa.Table:
    """A table as published.

    Args:
        n_objects: Rows; two to a source.
        seed: Of everything random.
        features: Column -> `include`, `dtype`, `periodic`, `impute`.
        algorithm: Suffix of the periodic columns.

    Returns:
        `id`, `group`, a column per feature and label, `dmdt`.
    """
    rng = np.random.default_rng(seed)
    source = np.arange(n_objects) // 2
    draw = rng.random((source.max() + 1, 2))[source]
    held = {tag: draw[:, 0] < share for tag, share in SHARES.items() if tag != "i"}
    held["i"] = held["vnv"] & ~held["pnp"] & (draw[:, 1] < 0.5)
    labels = {
        tag: np.where(on, rng.choice(LEVELS, n_objects), rng.choice([0.0, 0.25, 0.5], n_objects))
        for tag, on in held.items()
    }
    labels["nonvar"] = np.where(held["vnv"], 0.0, rng.choice([0.5, 1.0], n_objects))
    hidden = np.column_stack(list(held.values())) + rng.normal(0, 0.3, (n_objects, len(held)))
    columns: dict[str, Any] = {"id": np.arange(n_objects), "group": source}
    for name, entry in features.items():
        value = hidden @ rng.normal(0, 1, hidden.shape[1]) + rng.normal(0, 0.3, n_objects)
        if entry["impute"] != "none":
            value[rng.random(n_objects) < MISSING] = np.nan
        columns[f"{name}_{algorithm}" if entry["periodic"] else name] = value
    image = rng.random((n_objects, 676)) + held["e"][:, None] * np.linspace(0, 1, 676)
    image = (image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32)
    return pa.table(columns | labels | {"dmdt": pa.FixedSizeListArray.from_arrays(pa.array(image.reshape(-1)), 676)})
