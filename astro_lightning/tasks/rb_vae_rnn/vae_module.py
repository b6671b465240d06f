"""Trains the autoencoder and hands over the embeddings of all frames."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.loader import Batch, BatchSampler, make_loader
from astro_lightning.core.task import TaskModule
from astro_lightning.data.tables import write_parquet
from astro_lightning.tasks.rb_vae_rnn.vae import Vae, kl_per_dim, vae_loss

LIVE_NATS = 0.05
# Embedded: some thousand frames, which bounds the memory.
OBJECTS_AT_A_TIME = 16


class VaeModule(TaskModule):
    """log-cosh reconstruction plus weighted divergence.

    Args:
        beta: Weight of the divergence (8e-5 as published).
        free_nats: Divergence that each dimension has for free; 0 as published.
        warmup_epochs: Epochs over which beta rises from 0; 0 as published.
        **shared: See `TaskModule`.
    """

    network: Vae

    def __init__(self, *, beta: float = 8e-5, free_nats: float = 0.0, warmup_epochs: int = 0, **shared: Any) -> None:
        super().__init__(beta=beta, free_nats=free_nats, warmup_epochs=warmup_epochs, **shared)
        self.kl: list[Tensor] = []

    @classmethod
    def exclusive(cls, settings_: Mapping[str, Any]) -> bool:
        """It names no class."""
        return False

    def metrics(self) -> MetricCollection:
        """None beside the losses."""
        return MetricCollection({})

    def make_network(self) -> nn.Module:
        """The autoencoder."""
        return Vae(**self.model_settings)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Both terms."""
        warmup = self.hparams["warmup_epochs"]
        beta = self.hparams["beta"] * (min(1.0, (self.current_epoch + 1) / warmup) if warmup else 1.0)
        reconstruction, mu, logvar = self.network(batch["pixels"])
        error, kl = vae_loss(
            reconstruction, batch["pixels"], batch["mask"], mu, logvar, beta, self.hparams["free_nats"]
        )
        self.log_dict({"train/loss": error + kl, "train/reconstruction": error}, batch_size=len(batch["row"]))
        return error + kl

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Both terms at full weight, and the divergence of each dimension."""
        reconstruction, mu, logvar = self.network(batch["pixels"])
        beta, free = self.hparams["beta"], self.hparams["free_nats"]
        error, kl = vae_loss(reconstruction, batch["pixels"], batch["mask"], mu, logvar, beta, free)
        losses = {"val/loss": error + kl, "val/reconstruction": error}
        self.log_dict(losses, batch_size=len(batch["row"]), on_epoch=True, sync_dist=True)
        self.kl.append(kl_per_dim(mu, logvar))

    def on_validation_epoch_end(self) -> None:
        """Log how many latent dimensions carry information."""
        live = (torch.stack(self.kl).mean(0) > LIVE_NATS).sum()
        self.kl = []
        self.log("val/live_dims", live.float(), sync_dist=True)

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """The mean embedding of each object's frames."""
        return {"embedding": self.embed(batch)}

    def embed(self, batch: Batch) -> Tensor:
        """(n, latent_dims)."""
        mu, _ = self.network.encode(batch["pixels"])
        return torch.stack([part.mean(0) for part in mu.split(batch["offsets"].diff().tolist())])

    def hand_over(self, best: Path, datamodule: Any, folder: Path) -> dict[str, Path]:
        """The embeddings of all objects' frames, test fold included, streamed into a Parquet file."""
        module = restore(best).module.to(self.device)
        assert isinstance(module, VaeModule)
        path = best.parent / "embeddings.parquet"
        records = datamodule.records
        data = datamodule.dataset(records, self.info)
        loader = make_loader(data, BatchSampler(np.arange(len(records)), OBJECTS_AT_A_TIME))
        write_parquet(embedded(module, loader, records), path)
        return {"embeddings": path}

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """An autoencoder decides nothing."""
        return {}


@torch.inference_mode()
def embedded(module: VaeModule, loader: Any, records: Any) -> Iterator[pa.Table]:
    """Tables of `oid`, `label` (1 artefact, 0 other, null unknown), `mu` and `logvar`, as `SnadEmbeddings` reads them."""
    label = {"artefact": 1, "other": 0}
    for batch in loader:
        mu, logvar = (x.cpu().numpy() for x in module.network.encode(batch["pixels"].to(module.device)))
        rows = batch["row"].numpy()
        offsets = pa.array(batch["offsets"].numpy() * mu.shape[1], pa.int32())
        yield pa.table(
            {
                "oid": pa.array(records.ids[rows]),
                "label": pa.array([label.get(name) for name in records.labels[rows]], pa.int8()),
                "mu": pa.ListArray.from_arrays(offsets, pa.array(mu.ravel())),
                "logvar": pa.ListArray.from_arrays(offsets, pa.array(logvar.ravel())),
            }
        )
