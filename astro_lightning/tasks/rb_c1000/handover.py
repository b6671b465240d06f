"""Files that one stage of the loop writes for the next: the expert's labels and the model's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import nn

from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.tables import write_parquet
from astro_lightning.methods.active_learning import pseudo_labels, select
from astro_lightning.tasks.rb_c1000.labelling import ask_expert
from astro_lightning.tasks.rb_c1000.pictures import write_asked

# hard: sure objects, their class; hard_random: as many of each class, at random; soft: all, with probability;
# committee: soft, averaged with the labels this stage was given, so that each stage adds its vote.
PSEUDO = ("hard", "hard_random", "soft", "committee")


def write_selected(module: TaskModule, datamodule: Any, folder: Path, path: Path) -> Path:
    """Choose pool objects for the expert, write their labels (id, soft, weight) and draw the first of them.

    Raises:
        BadInput: A pool object has no label and there is no person to ask.
    """
    chosen, pool = module.hparams, datamodule.splits["pool"]
    draws = pool_draws(module, datamodule, chosen["n_draws"] if chosen["acquisition"] == "bald" else 1)
    embeddings: dict[str, np.ndarray | None] = {"embeddings": None, "labelled_embeddings": None}
    if chosen["acquisition"] == "core_set":
        embeddings = {
            "embeddings": _embeddings(module, datamodule, "pool"),
            "labelled_embeddings": _embeddings(module, datamodule, "train"),
        }
    rng = np.random.default_rng(datamodule.seed)
    picked = select(chosen["acquisition"], chosen["n_select"], draws, rng, **embeddings)
    rows, p_real = pool[picked], draws.mean(0)[picked, 1]
    records = datamodule.records
    if chosen["oracle"] == "person":
        sure, is_real = ask_expert(records, rows, p_real, folder)
        rows, p_real = rows[sure], p_real[sure]
    else:
        labels = records.labels[rows]
        if any(label is None for label in labels):
            raise BadInput("pool objects have no labels: choose task.loop.oracle=person")
        is_real = labels == "real"
    write_asked(folder, records, rows, is_real, p_real)
    return _write(records.ids[rows], is_real.astype(np.float32), 1.0, path)


def write_pseudo(module: TaskModule, datamodule: Any, path: Path) -> Path:
    """Label the pool with the stage's own model: id, soft, weight."""
    chosen, pool = module.hparams, datamodule.splits["pool"]
    probability = pool_draws(module, datamodule, 1)[0]
    ids = datamodule.records.ids[pool]
    if chosen["pseudo"] == "soft":
        return _write(ids, probability[:, 1], chosen["pseudo_weight"], path)
    if chosen["pseudo"] == "committee":
        soft, n_members = probability[:, 1], 1
        if datamodule.committee:
            given = pq.read_table(datamodule.committee)
            n_members += int(given["members"][0].as_py())
            before = dict(zip(given["id"].to_pylist(), given["soft"].to_pylist(), strict=True))
            soft = soft + (np.array([before[i] for i in ids.tolist()]) - soft) * (n_members - 1) / n_members
        return _write(ids, soft, chosen["pseudo_weight"], path, n_members)
    share = None
    if chosen["match_share"]:
        share = np.bincount(datamodule.labelled_targets(), minlength=2) / len(datamodule.labelled_targets())
    kept, label = pseudo_labels(probability, chosen["threshold"], share)
    if chosen["pseudo"] == "hard_random":
        rng = np.random.default_rng(datamodule.seed)
        sure = probability.argmax(1)
        eligible = probability.max(1) >= chosen["threshold"]
        kept = np.concatenate(
            [rng.permutation(np.flatnonzero(eligible & (sure == c)))[: (label == c).sum()] for c in range(2)]
        )
        label = sure[kept]
    return _write(ids[kept], label.astype(np.float32), chosen["pseudo_weight"], path)


@torch.inference_mode()
def pool_draws(module: TaskModule, datamodule: Any, n_draws: int) -> np.ndarray:
    """Probabilities (n_draws, n_pool, 2); several draws keep dropout switched on."""
    for layer in module.modules():
        if isinstance(layer, nn.Dropout) and n_draws > 1:
            layer.train()
    torch.manual_seed(datamodule.seed)
    draws = [
        [
            module(move_data_to_device(batch, module.device)).softmax(-1).cpu().numpy()
            for batch in datamodule.loader("pool")
        ]
        for _ in range(n_draws)
    ]
    module.eval()
    return np.stack([np.concatenate(draw) for draw in draws])


@torch.inference_mode()
def _embeddings(module: TaskModule, datamodule: Any, part: str) -> np.ndarray:
    found = [module.embed(move_data_to_device(b, module.device)).cpu().numpy() for b in datamodule.loader(part)]
    return np.concatenate(found)


def _write(ids: np.ndarray, soft: np.ndarray, weight: float, path: Path, members: int = 1) -> Path:
    n = len(ids)
    table = pa.table(
        {
            "id": pa.array(ids.tolist()),
            "soft": pa.array(soft, pa.float32()),
            "weight": pa.array(np.full(n, weight, dtype=np.float32)),
            "members": pa.array(np.full(n, members)),
        }
    )
    write_parquet([table], path)
    return path
