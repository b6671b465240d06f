"""What the Lightning modules of all tasks share: network from scalars, loss, metrics, optimiser, columns of a prediction."""

import math
from collections.abc import Mapping
from pathlib import Path
from threading import get_ident
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from astro_lightning.core.build import build
from astro_lightning.core.calibration import EMBEDDING, LOGITS, Calibration
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.metrics import classification_metrics
from astro_lightning.core.optim import make_optimizer, make_schedule, settings
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records

Kind = TypeVar("Kind", bound=nn.Module)


class TaskModule(pl.LightningModule):
    """Base of a task's module: a classifier over `info["classes"]`; a task overrides what differs.

    A batch is a dict of tensors with `row` (position in the records) and, where labelled, `target` (class number).

    Args:
        model: `_target_` block of the network, plain scalars only.
        optimizer: Settings of `core.optim`.
        info: What the data module learned from the training data; plain containers, kept in the checkpoint.
        monitor: Validation metric that chooses the best epoch.
        mode: `min` or `max` of that metric.

    Attributes:
        network: From `configure_model` on; a task names its own kind.
    """

    network: nn.Module

    def __init__(
        self,
        *,
        model: dict,
        optimizer: dict,
        info: dict,
        monitor: str = "val/loss",
        mode: str = "min",
        **settings_: Any,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(
            {"model": model, "optimizer": optimizer, "info": info, "monitor": monitor, "mode": mode, **settings_},
            logger=False,  # the loggers have the run's configuration
        )
        self.info = info
        metrics = self.metrics()
        self.train_metrics, self.val_metrics = metrics.clone(prefix="train/"), metrics.clone(prefix="val/")
        self._best: float | None = None
        self._epochs_without_progress = 0

    # ---- what a task overrides

    def make_network(self) -> nn.Module:
        """The network, from scalars of the configuration and of the training data."""
        return build(self.hparams["model"], n_classes=len(self.info["classes"]))

    def forward(self, batch: Batch) -> Tensor:
        """Logits of shape (batch, n_classes)."""
        return self.network(batch)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of logits (batch, n_classes) against class numbers (batch,)."""
        return nn.functional.cross_entropy(logits, target)

    def metrics(self) -> MetricCollection:
        """Metrics followed during training; they take (logits, target)."""
        n = len(self.info["classes"])
        return MetricCollection(
            {"accuracy": MulticlassAccuracy(n, average="micro"), "macro_f1": MulticlassF1Score(n, average="macro")}
        )

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups; `scale` multiplies the learning rate. Biases and norms are not decayed."""
        decay = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        return [{"params": decay}, {"params": plain, "weight_decay": 0.0}]

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """Columns of the predictions of a batch, each of shape (batch,) or (batch, k); the default is `prob_<class>`."""
        probabilities = self(batch).softmax(-1)
        return {f"prob_{name}": probabilities[:, i] for i, name in enumerate(self.info["classes"])}

    def evidence(self, batch: Batch) -> dict[str, Tensor]:
        """What a calibration learns from: `logits` (batch, n_classes) and, where objects have one, `embedding` (batch, d).

        Outputs of the network behind those of the classes take no part.
        """
        return {LOGITS: centred(self(batch)[:, : len(self.info["classes"])]), EMBEDDING: self.embed(batch)}

    @classmethod
    def exclusive(cls, settings_: Mapping[str, Any]) -> bool:
        """Whether a module of these settings names classes of which an object has exactly one: a calibration needs them."""
        return True

    def embed(self, batch: Batch) -> Tensor:
        """One vector (batch, d) for each object: the network's own `embed`, else what its last linear layer reads.

        Where no linear layer sees one row for each object, the logits stand for it.
        """
        if hasattr(self.network, "embed"):
            return self.network.embed(batch)  # type: ignore[operator]
        read: list[Tensor] = []
        own = get_ident()

        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            if get_ident() == own:  # a scorer's threads share the layers, and each calls the hooks of all
                read.append(given[0])

        layers = [layer for layer in self.network.modules() if isinstance(layer, nn.Linear)]
        hooks = [layer.register_forward_pre_hook(note) for layer in layers]
        try:
            logits = self(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return next((x for x in reversed(read) if x.ndim == 2 and len(x) == len(logits)), logits)

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """Named files for later stages, written after the fit; the best checkpoint is handed over in any case."""
        return {}

    @classmethod
    def finish(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Columns that need all predictions of a table, or of several checkpoints, together; the default adds none."""
        return predictions

    @classmethod
    def recalibration(cls, info: Mapping[str, Any]) -> Calibration | None:
        """What `mode=calibrate` renews of a run without `task.calibrator`; the default has nothing of the kind."""
        return None

    @classmethod
    def with_truth(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Add `truth_<label>` (1, 0 or null) of labels that may hold together; `counted`, false for what `score` leaves out."""
        return predictions

    @classmethod
    def show_tested(cls, records: Records, rows: np.ndarray, folder: Path) -> None:
        """Keep or draw what the report shows of single tested objects; the default shows none.

        Args:
            records: The tested objects among others.
            rows: Of the tested objects.
            folder: With their `predictions.parquet`.
        """

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """Test metrics of a table with the columns of `columns` and `finish`, `label` where the survey has it, and `references`.

        The default is that of a classifier. Where the table has neither label nor reference it is not called.
        """
        return classification_metrics(predictions, info["classes"])

    # ---- what all tasks share

    @property
    def datamodule(self) -> RecordsData:
        """What the Trainer fits on."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def part(self, name: str, kind: type[Kind]) -> Kind:
        """A part of the network by its dotted name."""
        found = self.network.get_submodule(name)
        assert isinstance(found, kind)
        return found

    @property
    def model_settings(self) -> dict[str, Any]:
        """The network's own settings, for a network that is not built from its `_target_`."""
        return {key: value for key, value in self.hparams["model"].items() if key != "_target_"}

    references: ClassVar[tuple[str, ...]] = ()  # columns of the records, beside `label`, that `score` is given
    precision: ClassVar[str | None] = None  # of its stage, whatever the trainer asks for; None = the trainer's
    not_averaged: ClassVar[tuple[str, ...]] = ()  # columns whose mean over several networks would be of none of them

    def configure_model(self) -> None:
        """Build the network once, where the strategy wants it."""
        if not hasattr(self, "network"):
            self.network = self.make_network()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Loss of a batch; None where a module steps by itself."""
        logits = self(batch)
        loss = self.loss(logits, batch["target"])
        self.train_metrics.update(logits.detach(), batch["target"])
        self.log("train/loss", loss, batch_size=len(batch["row"]), prog_bar=True)
        self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and metrics of a batch."""
        logits = self(batch).float()  # thresholds and ranks are not for half precision
        self.val_metrics.update(logits, batch["target"])
        loss = self.loss(logits, batch["target"])
        self.log("val/loss", loss, batch_size=len(batch["row"]), on_epoch=True, prog_bar=True, sync_dist=True)
        self.log_dict(self.val_metrics, on_step=False, on_epoch=True, prog_bar=True)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Tensor]:
        """Columns of a batch."""
        return self.columns(batch)

    def configure_optimizers(self) -> Any:
        """Optimiser and a schedule stepped at every optimiser step."""
        chosen = self.hparams["optimizer"]
        optimizer = make_optimizer([group for group in self.groups() if group["params"]], chosen)
        total = self.trainer.estimated_stepping_batches
        if total == float("inf"):
            raise BadInput(
                "trainer.max_epochs or trainer.max_steps must be finite: the learning-rate schedule needs the length of the run"
            )
        batches = min(self.trainer.num_training_batches, total * self.trainer.accumulate_grad_batches)
        per_epoch = math.ceil(batches / self.trainer.accumulate_grad_batches)
        schedule = make_schedule(optimizer, chosen, int(total), max(1, per_epoch))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_end(self) -> None:
        """With `schedule: plateau`, lower the learning rate after `patience` epochs without progress of the monitored metric."""
        chosen = settings(self.hparams["optimizer"])
        value = self.trainer.callback_metrics.get(self.hparams["monitor"])
        if chosen["schedule"] != "plateau" or value is None:
            return
        sign = 1 if self.hparams["mode"] == "min" else -1
        if self._best is None or sign * float(value) < sign * self._best:
            self._best, self._epochs_without_progress = float(value), 0
            return
        self._epochs_without_progress += 1
        if self._epochs_without_progress > chosen["patience"]:
            schedule: Any = self.lr_schedulers()
            schedule.base_lrs = [lr * chosen["factor"] for lr in schedule.base_lrs]
            self._epochs_without_progress = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the plateau's memory."""
        checkpoint["plateau"] = [self._best, self._epochs_without_progress]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the plateau's memory."""
        self._best, self._epochs_without_progress = checkpoint.get("plateau", [None, 0])


def centred(logits: Tensor) -> Tensor:
    """The one margin of two classes shared out between both: as (0, m) the energy of the logits would call one class novel.

    Args:
        logits: Shape (batch, n_classes); of more than two classes they stay as they are.
    """
    return logits - logits.mean(-1, keepdim=True) if logits.shape[1] == 2 else logits


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def class_weights(counts: list[int], power: float = 1.0) -> Tensor:
    """Weights (n_classes,) proportional to count^-power with mean 1 over the training objects; empty classes get 0."""
    count = torch.tensor(counts, dtype=torch.float32)
    weights = torch.where(count > 0, count.clamp(min=1) ** -power, torch.zeros_like(count))
    return weights * count.sum() / (weights * count).sum()
