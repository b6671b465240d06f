"""The modules of the labelling loop: a network or boosted trees, and what a trained stage hands to the next one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities.data import dim_zero_cat

from astro_lightning.core.build import build
from astro_lightning.core.checkpoint import restore
from astro_lightning.core.loader import Batch
from astro_lightning.core.metrics import classification_metrics
from astro_lightning.core.provenance import write_json
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.methods.active_learning import ACQUISITIONS
from astro_lightning.methods.boosted_trees import BoostedTreesModule
from astro_lightning.tasks.rb_c1000.handover import PSEUDO, write_pseudo, write_selected
from astro_lightning.tasks.rb_c1000.pictures import write_label_efficiency, write_mistakes
from astro_lightning.tasks.rb_c1000.scores import SIX, real_bogus_scores

FOLLOWED = (*SIX, "sum", "auc")


class RealBogusScore(Metric):
    """One of `real_bogus_scores` over a whole validation set; 0 where it is not defined."""

    p_real: list[Tensor]
    is_real: list[Tensor]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_state("p_real", default=[], dist_reduce_fx="cat")
        self.add_state("is_real", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Keep a batch."""
        self.p_real.append(logits.softmax(-1)[:, 1])
        self.is_real.append(target == 1)

    def compute(self) -> Tensor:
        """The score."""
        scores = real_bogus_scores(
            dim_zero_cat(self.is_real).cpu().numpy(), dim_zero_cat(self.p_real).cpu().numpy(), ()
        )
        return torch.tensor(scores.get(self.name, 0.0))


class LoopModule(TaskModule):
    """Trains one stage on hard or soft labels and chooses the objects of the next. Class 1 is `real`.

    Args:
        acquisition: How the objects for the expert are chosen.
        n_select: How many.
        pseudo: `hard` (published), `hard_random`, `soft` or `committee` labels for the next stage, see `handover`.
        threshold: Least confidence of a hard pseudo label.
        pseudo_weight: Weight of a pseudo label; a true one has 1.
        match_share: Cut the surplus class of hard pseudo labels to the share of the training labels.
        n_draws: Dropout passes over the pool for `bald`.
        oracle: `dataset` (labels are known) or `person`.
        **shared: See `TaskModule`.
    """

    def __init__(
        self,
        *,
        acquisition: str = "margin",
        n_select: int = 100,
        pseudo: str = "soft",
        threshold: float = 0.95,
        pseudo_weight: float = 1.0,
        match_share: bool = True,
        n_draws: int = 10,
        oracle: str = "dataset",
        **shared: Any,
    ) -> None:
        for name, value, known in (
            ("acquisition", acquisition, ACQUISITIONS),
            ("pseudo", pseudo, PSEUDO),
            ("oracle", oracle, ("dataset", "person")),
        ):
            if value not in known:
                raise BadInput(f"{name}={value} is unknown; choose {', '.join(known)}")
        super().__init__(
            acquisition=acquisition,
            n_select=n_select,
            pseudo=pseudo,
            threshold=threshold,
            pseudo_weight=pseudo_weight,
            match_share=match_share,
            n_draws=n_draws,
            oracle=oracle,
            **shared,
        )
        if list(self.info["classes"]) != ["bogus", "real"]:
            raise BadInput(f"classes are {self.info['classes']}: real/bogus needs data.classes=[bogus,real]")
        self.val_metrics = MetricCollection(
            {name: RealBogusScore(name) for name in FOLLOWED}, prefix="val/", compute_groups=False
        )

    def make_network(self) -> nn.Module:
        """A network over stamps or features, as wide as the training data's."""
        sizes = (
            {"n_features": self.info["n_features"]} if "n_features" in self.info else {"side_px": self.info["stamp_px"]}
        )
        return build(self.hparams["model"], n_classes=2, **sizes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Weighted cross-entropy against labels that may be soft."""
        logits = self(batch)
        soft = torch.stack([1 - batch["soft"], batch["soft"]], 1)
        loss = (nn.functional.cross_entropy(logits, soft, reduction="none") * batch["weight"]).sum() / batch[
            "weight"
        ].sum()
        self.log("train/loss", loss, batch_size=len(batch["row"]), prog_bar=True)
        return loss

    def on_validation_epoch_end(self) -> None:
        """Log the epoch: as the stage's monitor (mode max) it keeps the last weights, where validation is too small to choose."""
        super().on_validation_epoch_end()
        self.log("val/epoch", float(self.current_epoch))

    def hand_over(self, best: Path, datamodule: Any, folder: Path) -> dict[str, Path]:
        """Scores on the test set, once; the objects for the expert; labels for the pool."""
        if not hasattr(datamodule, "role"):
            return {}
        restored = restore(best)
        out = best.parent
        module = restored.module.to(self.device)
        scores = dict(self.info["earlier"])
        is_real, p_real = _truth_and_probability(module, datamodule)
        counts = {"n_train": float(sum(self.info["counts"])), "n_labels": float(datamodule.n_labels())}
        scores[out.name] = real_bogus_scores(is_real, p_real) | counts
        write_json(out / "scores.json", scores)
        if datamodule.role in ("als", "ssls"):
            write_label_efficiency(folder, scores)
        handed = {"scores": out / "scores.json"}
        pool = datamodule.splits["pool"]
        if not len(pool):
            return handed
        if datamodule.role == "its":
            handed["selected"] = write_selected(module, datamodule, folder, out / "selected.parquet")
        else:
            handed["pseudo"] = write_pseudo(module, datamodule, out / "pseudo.parquet")
        return handed

    @classmethod
    def show_tested(cls, records: Records, rows: np.ndarray, folder: Path) -> None:
        """For the report, the cutouts of the surest mistakes."""
        write_mistakes(folder, records, rows)

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """Real/bogus scores of the last stage, and those of every earlier one under its name."""
        labels = np.array(predictions["label"].to_pylist(), dtype=object)
        known = np.isin(labels, info["classes"])
        own = real_bogus_scores(labels[known] == "real", predictions["prob_real"].to_numpy()[known])
        earlier = {
            f"{stage}_{name}": value for stage, scores in info["earlier"].items() for name, value in scores.items()
        }
        return classification_metrics(predictions, info["classes"]) | own | earlier


class LoopTrees(LoopModule, BoostedTreesModule):
    """Boosted trees in the same loop."""

    make_network = BoostedTreesModule.make_network
    training_step = BoostedTreesModule.training_step


@torch.inference_mode()
def _truth_and_probability(module: TaskModule, datamodule: Any) -> tuple[np.ndarray, np.ndarray]:
    found = [
        (
            batch["target"].numpy() == 1,
            module(move_data_to_device(batch, module.device)).softmax(-1)[:, 1].cpu().numpy(),
        )
        for batch in datamodule.loader("test")
    ]
    return np.concatenate([t for t, _ in found]), np.concatenate([p for _, p in found])
