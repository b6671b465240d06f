"""The Lightning module of spectra: class logits, the logit of unknown kinds, and the p-value of being known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn

from astro_lightning.core import calibration
from astro_lightning.core.build import build
from astro_lightning.core.checkpoint import read_weights
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.spectra.losses import SpectraLoss
from astro_lightning.tasks.spectra.network import MultiKernel, SpectraResNet
from astro_lightning.tasks.spectra.novelty import EMBEDDING, KEY, KnownSpectra, Novelty, attach_novelty
from astro_lightning.tasks.spectra.scoring import spectra_metrics, with_clean
from astro_lightning.tasks.spectra.tested import report_stage


class SpectraModule(TaskModule):
    """Classifier of spectra that knows when it does not know.

    Args:
        loss_kind: `cross_entropy`, `weighted` or `soft_f1`.
        smoothing: Label smoothing.
        unknown_weight: Weight of the loss of known against unknown.
        backbone: Checkpoint whose network is the start, such as one trained on the twin; None = random weights.
        shifts: Shifts in bins over which a prediction is averaged; [0] = none.
        alpha: Share of good spectra that may be rejected.
        member: Number in an ensemble over seeds; each has its own initial weights.
        **shared: See `TaskModule`.
    """

    network: SpectraResNet | MultiKernel

    def __init__(
        self,
        *,
        loss_kind: str = "cross_entropy",
        smoothing: float = 0.02,
        unknown_weight: float = 0.5,
        backbone: str | None = None,
        shifts: list[int] | None = None,
        alpha: float = 0.03,
        member: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            loss_kind=loss_kind,
            smoothing=smoothing,
            unknown_weight=unknown_weight,
            backbone=backbone,
            shifts=list(shifts or [0]),
            alpha=alpha,
            member=member,
            **shared,
        )
        self.info["alpha"] = alpha
        self.criterion = SpectraLoss(self.info["counts"], loss_kind, smoothing, unknown_weight)
        # No buffers: an average of the weights would average them with those of other epochs.
        self.novelty: Novelty | None = None

    def make_network(self) -> nn.Module:
        """The network for these inputs."""
        if self.hparams["member"]:
            torch.manual_seed(torch.initial_seed() + self.hparams["member"])
        inputs = self.info["inputs"]
        channels = 4 if inputs["form"] == "channels" else 2 + int(inputs["blackbody_channel"])
        return build(
            self.hparams["model"],
            n_classes=len(self.info["classes"]),
            in_channels=channels,
            n_features=len(inputs["features"]),
        )

    def setup(self, stage: str) -> None:
        """Start from another checkpoint's network where one is given."""
        if stage != "fit":
            return
        self.configure_model()
        if self.hparams["backbone"]:
            weights = read_weights(Path(self.hparams["backbone"]))
            try:
                self.network.load_state_dict(weights)
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].strip()
                raise BadInput(f"backbone {self.hparams['backbone']} is another network: {reason}") from error

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        logits, unknown = self._split(batch)
        loss = self.criterion(logits, unknown, batch["target"])
        known = self._known(batch)
        self.train_metrics.update(logits[known].detach(), batch["target"][known])
        self.log("train/loss", loss, batch_size=len(known), prog_bar=True)
        self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and metrics of a batch."""
        logits, unknown = self._split(batch)
        known = self._known(batch)
        self.val_metrics.update(logits[known], batch["target"][known])
        loss = self.criterion(logits, unknown, batch["target"])
        self.log("val/loss", loss, batch_size=len(known), on_epoch=True, prog_bar=True, sync_dist=True)
        self.log_dict(self.val_metrics, on_step=False, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Log how far training is, for stages that take the last epoch."""
        self.log("val/epoch", float(self.current_epoch))

    def on_restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Take back what `hand_over` learned of known spectra."""
        if KEY in checkpoint:
            self.novelty = Novelty.from_state(checkpoint[KEY])

    def columns(self, batch: Batch) -> dict[str, Any]:
        """Class probabilities, logit of an unknown kind and embedding, averaged over the shifts; tensors alone."""
        probability, unknown, embedding, _ = self._averaged(batch)
        columns = {f"prob_{name}": probability[:, i] for i, name in enumerate(self.info["classes"])}
        return columns | {EMBEDDING: embedding, "unknown_logit": unknown}

    def evidence(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of the probabilities averaged over the shifts, at their mean energy, and the embedding."""
        probability, _, embedding, mass = self._averaged(batch)
        return {calibration.LOGITS: probability.log() + mass[:, None], calibration.EMBEDDING: embedding}

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Any]:
        """Columns with p-values of each class and of being known in place of the embedding, and facts for reports."""
        columns = self.columns(batch)
        if self.novelty is not None:
            columns |= self.novelty.columns(columns)
            # A spectrum without data is not known whatever the network thinks.
            seen = batch["inputs"][:, 2 if self.info["inputs"]["form"] == "channels" else -1].amax(1) > 0
            columns["p_known"] = columns["p_known"] * seen.cpu()
        del columns[EMBEDDING]
        return columns | {name: batch[name] for name in ("survey", "snr", "zwarning") if name in batch}

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """What known spectra look like, into the checkpoint; the table of tested spectra, drawn into the report."""
        on_twin_alone = self.info["twin"] and self.info["twin"]["share"] >= 1
        if on_twin_alone or not best.exists() or not self.trainer.is_global_zero:
            return {}
        attach_novelty(best, datamodule, self.trainer.strategy.root_device)
        return report_stage(best, datamodule, folder) if len(datamodule.splits["test"]) else {}

    @classmethod
    def finish(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Add `reject`: p_known at most alpha."""
        if "p_known" not in predictions.column_names:
            return predictions
        return predictions.append_column(
            "reject", pc.less_equal(predictions["p_known"], pa.scalar(info["alpha"], pa.float32()))
        )

    @classmethod
    def recalibration(cls, info: Mapping[str, Any]) -> calibration.Calibration:
        """p-values of the classes and of being known."""
        return KnownSpectra(info["classes"], info["alpha"])

    @classmethod
    def with_truth(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Add `counted`, so that reports count what `score` does."""
        return with_clean(predictions, list(info["classes"]))

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """Metrics on clean spectra, by survey and signal-to-noise ratio, and of the rejection."""
        return spectra_metrics(predictions, list(info["classes"]))

    def _averaged(self, batch: Batch) -> tuple[Tensor, ...]:
        """Means over the shifts: probabilities (B, n), logit of an unknown kind (B,), embedding (B, d), log sum of exp(logits)."""
        n, found = len(self.info["classes"]), []
        for shift in self.hparams["shifts"]:
            shifted = batch if shift == 0 else {**batch, "inputs": batch["inputs"].roll(shift, 2)}
            embedding = self.embed(shifted)
            logits = self.network.head(embedding, shifted)
            found.append((logits[:, :n].softmax(1), logits[:, n], embedding, logits[:, :n].logsumexp(1)))
        return tuple(torch.stack(parts).mean(0) for parts in zip(*found, strict=True))

    def _split(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = self(batch)
        n = len(self.info["classes"])
        return logits[:, :n], logits[:, n]

    def _known(self, batch: Batch) -> Tensor:
        return (batch["target"] >= 0) & (batch["target"] < len(self.info["classes"]))
