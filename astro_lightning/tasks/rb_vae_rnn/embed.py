"""Frames of any survey to embeddings that the sequence heads read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from astro_lightning.core.build import reader_of
from astro_lightning.core.checkpoint import predicting_checkpoints, restore
from astro_lightning.core.loader import BatchSampler, make_loader
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.tables import write_parquet
from astro_lightning.tasks.rb_vae_rnn.vae_module import OBJECTS_AT_A_TIME, VaeModule, embedded


def embed_survey(run: Path, path: Path, out: Path, memory_gib: float) -> int:
    """Write `oid`, `label`, `mu` and `logvar` of every object, its frames in time order and flattened; a chunk at a time.

    Args:
        run: Run folder or checkpoint of an autoencoder (`task=rb_vae`).
        path: Frames in the layout of its training data.
        out: Parquet file; read with `data=snad_embeddings data.root=FOLDER data.reader.latent_dims=D`.
        memory_gib: Most memory used while reading.

    Returns:
        Number of objects.

    Raises:
        BadInput: Not an autoencoder.
    """
    restored = restore(predicting_checkpoints(run)[0])
    module = restored.module
    if not isinstance(module, VaeModule):
        raise BadInput(f"{run} holds no autoencoder: give a run of task=rb_vae")
    survey = reader_of(restored.info["data"]["reader"], memory_gib)

    def tables() -> Iterator[pa.Table]:
        for table in survey.read(path, part="all"):
            records = Records.from_table(table)
            data = restored.datamodule.dataset(records, restored.info)
            sampler = BatchSampler(np.arange(len(records)), OBJECTS_AT_A_TIME)
            yield from embedded(module, make_loader(data, sampler), records)

    return write_parquet(tables(), out)
