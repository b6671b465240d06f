"""Conformal inference inside a classifier's checkpoint: fitted after training, applied to whole tables of predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.core.checkpoint import read_checkpoint, restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.methods.conformal.predictor import ConformalPredictor, Scored

KEY = "conformal"
# Columns that a module adds to its predictions for `apply`, which takes them away again.
LOGITS, EMBEDDING = "_logits", "_embedding"


def attach(checkpoint: Path, datamodule: RecordsData, device: torch.device, **options: Any) -> None:
    """Fit a `ConformalPredictor` for a checkpoint and keep it in the file.

    Neighbours come from the training objects, temperature and ranks from the validation objects, p-values from the calibration
    objects, which no other step has seen.

    Args:
        checkpoint: Of a module whose `columns` give logits and an embedding; rewritten whole.
        datamodule: Its data module, with a calibration split.
        device: Where the network runs.
        **options: Of `ConformalPredictor`.
    """
    restored = restore(checkpoint)
    module = restored.module.to(device)
    scored = {}
    for part in ("train", "val", "calibration"):
        columns: dict[str, list[np.ndarray]] = {LOGITS: [], EMBEDDING: [], "target": []}
        with torch.inference_mode():
            for batch in datamodule.loader(part):
                moved = {name: value.to(device) for name, value in batch.items()}
                found = module.logits_and_embedding(moved) | {"target": moved["target"]}
                for name, parts in columns.items():
                    parts.append(found[name].float().cpu().numpy())
        joined = {name: np.concatenate(parts) for name, parts in columns.items()}
        scored[part] = Scored(joined[LOGITS], joined[EMBEDDING], joined["target"].astype(int))
    predictor = ConformalPredictor(restored.info["classes"], **options)
    predictor.fit(scored["train"], scored["val"], scored["calibration"])
    content = read_checkpoint(checkpoint) | {KEY: _plain(predictor.state())}
    temporary = checkpoint.with_name(f".{checkpoint.name}")
    torch.save(content, temporary)
    temporary.replace(checkpoint)


def apply(predictor: ConformalPredictor, predictions: pa.Table, alpha: float, fdr: float) -> pa.Table:
    """Add p-values, sets and the flag of unknown kinds to a table with the columns of logits and embedding.

    Args:
        predictor: From the checkpoint.
        predictions: One row per object; `prob_<class>` becomes the calibrated probability.
        alpha: A set holds the true class with probability 1 - alpha.
        fdr: Share of known objects accepted among the flagged ones of this table (Benjamini-Hochberg).

    Returns:
        `id`, `prob_<class>`, `p_<class>`, `set`, `ood_p`, `ood_flag` and `unknown_probability`.
    """
    objects = Scored(_matrix(predictions[LOGITS]), _matrix(predictions[EMBEDDING]))
    frame = predictor.predict(objects, alpha=alpha, q=fdr).rename(columns={"prob_99": "unknown_probability"})
    # pandas' own notes in the schema would name a type that pandas cannot read back
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return table.add_column(0, "id", predictions["id"])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    return flat.flatten().to_numpy().reshape(len(flat), -1)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {str(key): _plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray) and state.dtype.kind in "biuf":
        return torch.from_numpy(state)
    if isinstance(state, np.ndarray | list | tuple):
        return [_plain(value) for value in state]
    return state.item() if isinstance(state, np.generic) else state
