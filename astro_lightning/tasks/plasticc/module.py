"""The two modules of PLAsTiCC: pretraining without labels, fine-tuning with few."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from astro_lightning.core.build import build
from astro_lightning.core.calibration import EMBEDDING, LOGITS
from astro_lightning.core.checkpoint import read_weights
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.examples import keep_mistakes, predict_examples, reconstruct_examples
from astro_lightning.tasks.plasticc.masking import IGNORED
from astro_lightning.tasks.plasticc.metric import contest_metrics
from astro_lightning.tasks.plasticc.network import Classifier, Pretrainer
from astro_lightning.tasks.plasticc.objectives import ClassificationLoss, hidden_nll


class PretrainModule(TaskModule):
    """Masked modelling and same-light-source discrimination.

    Args:
        masked_weight: Weight of the masked-modelling loss.
        same_source_weight: Weight of the same-source loss; 0 leaves it out.
        same_source: `infonce` or `two_way`.
        flux_loss: `student` or `gaussian` likelihood of the masked fluxes (continuous tokens).
        **shared: See `TaskModule`.
    """

    network: Pretrainer

    def __init__(
        self,
        *,
        masked_weight: float = 1.0,
        same_source_weight: float = 0.1,
        same_source: str = "infonce",
        flux_loss: str = "student",
        **shared: Any,
    ) -> None:
        if same_source not in ("infonce", "two_way"):
            raise BadInput(f"same_source={same_source} is unknown; choose infonce or two_way")
        super().__init__(
            masked_weight=masked_weight,
            same_source_weight=same_source_weight,
            same_source=same_source,
            flux_loss=flux_loss,
            **shared,
        )

    @classmethod
    def exclusive(cls, settings_: Mapping[str, Any]) -> bool:
        """It names no class."""
        return False

    def metrics(self) -> MetricCollection:
        """None beside the losses."""
        return MetricCollection({})

    def make_network(self) -> nn.Module:
        """Backbone with the losses' heads."""
        return Pretrainer(build(self.hparams["model"]), self.hparams["same_source"], self.hparams["flux_loss"])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Weighted sum of the losses."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on validation objects; their masks are the same in each epoch."""
        self._step(batch, "val")

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """A pretrained network has no classes to predict: its columns are the embedding and, of real-valued tokens, `novelty`."""
        columns = {"embedding": self.embed(batch)}
        return columns if "labels" in batch else columns | {"novelty": self.novelty(batch)}

    def novelty(self, batch: Batch) -> Tensor:
        """How badly the network foretells the object (B,), see `hidden_nll`."""
        return hidden_nll(self.network.backbone, batch, self.hparams["flux_loss"])

    def embed(self, batch: Batch) -> Tensor:
        """One vector (B, d) for each object, from the whole light curve: what a batch hides is shown again."""
        seen = {name: value for name, value in batch.items() if name != "masked"}
        if "labels" in batch:
            seen["tokens"] = torch.where(batch["labels"] == IGNORED, batch["tokens"], batch["labels"])
        return self.network.backbone.embed(seen)

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """Draws on validation objects what the network makes of hidden observations."""
        if self.trainer.is_global_zero and best.exists():
            reconstruct_examples(best, datamodule, folder, self.trainer.strategy.root_device)
        return {}

    def _step(self, batch: Batch, part: str) -> Tensor:
        losses = self.network(batch)
        weights = {"masked": self.hparams["masked_weight"], "same_source": self.hparams["same_source_weight"]}
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        logged = {f"{part}/loss": loss, **{f"{part}/{name}_loss": value for name, value in losses.items()}}
        self.log_dict(
            logged, batch_size=len(batch["row"]), prog_bar=True, on_epoch=part == "val", sync_dist=part == "val"
        )
        return loss


class FinetuneModule(TaskModule):
    """Classification from a pretrained backbone, frozen or whole with layer-wise decay of the learning rate.

    Args:
        backbone: Checkpoint of a pretraining stage; None trains from random weights, on purpose.
        frozen: Train the head alone.
        layer_decay: Factor of the learning rate from one encoder layer to the one below it.
        balance: `none`, `balanced` or `logit_adjusted` cross-entropy.
        novelty: Distribution of the fluxes, `student` or `gaussian`, by which a calibration learns how badly the backbone foretells
            an object (`hidden_nll`); None = it does not.
        **shared: See `TaskModule`.
    """

    network: Classifier

    def __init__(
        self,
        *,
        backbone: str | None = None,
        frozen: bool = False,
        layer_decay: float = 0.8,
        balance: str = "logit_adjusted",
        novelty: str | None = None,
        **shared: Any,
    ) -> None:
        if novelty not in (None, "student", "gaussian"):
            raise BadInput(f"novelty={novelty} is unknown; choose student, gaussian or null")
        super().__init__(
            backbone=backbone, frozen=frozen, layer_decay=layer_decay, balance=balance, novelty=novelty, **shared
        )
        if novelty and self.info.get("tokenizer", {}).get("kind") == "seed":
            raise BadInput("novelty: discrete tokens have no likelihood of a flux; use task.tokenizer.kind=continuous")
        self.criterion = ClassificationLoss(self.info["counts"], balance)

    def make_network(self) -> nn.Module:
        """Backbone with a classification head."""
        return Classifier(build(self.hparams["model"]), len(self.info["classes"]))

    def setup(self, stage: str) -> None:
        """Load the pretrained weights before the fit; a missing or other network's file is an error, never silence."""
        if stage != "fit":
            return
        self.configure_model()
        if self.hparams["backbone"]:
            load_backbone(self.network.backbone, Path(self.hparams["backbone"]))
        if self.hparams["frozen"]:
            self.network.backbone.requires_grad_(False)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy for unequal classes."""
        return self.criterion(logits, target)

    def embed(self, batch: Batch) -> Tensor:
        """One vector (B, d) for each object."""
        return self.network.backbone.embed(batch)

    def evidence(self, batch: Batch) -> dict[str, Tensor]:
        """Logits (B, K) and embedding (B, d) from one pass, and `novelty` (B,) where it is asked for."""
        embedding = self.embed(batch)
        found = {LOGITS: self.network.head(embedding), EMBEDDING: embedding}
        if self.hparams["novelty"]:
            found["novelty"] = hidden_nll(self.network.backbone, batch, self.hparams["novelty"])
        return found

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """For the report, examples with their classes."""
        if self.trainer.is_global_zero and best.exists():
            device = self.trainer.strategy.root_device
            predict_examples(best, datamodule, folder, device)
        return {}

    @classmethod
    def show_tested(cls, records: Records, rows: np.ndarray, folder: Path) -> None:
        """For the report, the light curves of the surest mistakes."""
        keep_mistakes(records, rows, folder)

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """The usual metrics, and the contest's where the classes are PLAsTiCC's targets."""
        return super().score(predictions, info) | contest_metrics(predictions, info["classes"])

    def groups(self) -> list[dict[str, Any]]:
        """Head at the full rate, encoder layers decayed from the top, everything below them decayed once more."""
        depth = len(self.network.backbone.encoder.layers)
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            if not parameter.requires_grad:
                continue
            above = 0
            if name.startswith("backbone.encoder.layers."):
                above = depth - int(name.split(".")[3])
            elif name.startswith("backbone.") and not name.startswith(
                ("backbone.pool", "backbone.merge", "backbone.encoder.norm")
            ):
                above = depth + 1
            groups.setdefault((self.hparams["layer_decay"] ** above, parameter.ndim > 1), []).append(parameter)
        return [
            {"params": parameters, "scale": scale, **({} if decayed else {"weight_decay": 0.0})}
            for (scale, decayed), parameters in groups.items()
        ]


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Copy the weights of a pretrained backbone, all of them.

    Raises:
        BadInput: No such checkpoint, or it holds another network.
    """
    try:
        backbone.load_state_dict(read_weights(path, "network.backbone."))
    except RuntimeError as error:
        raise BadInput(
            f"backbone {path} is another network than model=...: {str(error).splitlines()[-1].strip()}"
        ) from error
