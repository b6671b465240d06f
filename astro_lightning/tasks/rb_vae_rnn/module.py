"""Modules that tell artefacts from other objects: sequence networks and boosted trees over pooled statistics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.utilities.data import dim_zero_cat

from astro_lightning.core.build import build
from astro_lightning.core.loader import Batch, whole
from astro_lightning.core.metrics import classification_metrics
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.boosted_trees import BoostedTreesModule
from astro_lightning.methods.gradient_free import GradientFreeModule
from astro_lightning.methods.kernel_ridge import KernelRidge
from astro_lightning.tasks.rb_vae_rnn.folds import fold_numbers

LOSSES = ("cross_entropy", "tversky")
# Outside this range a threshold fitted on some hundred objects is noise.
THRESHOLD_RANGE = (0.3, 0.7)


class BestThreshold(Metric):
    """The probability of class 0 above which deciding for it is most accurate.

    Of all thresholds whose accuracy is within one standard error of the best, the nearest to one half is taken (Breiman et al.
    1984): the best of some hundred validation objects alone is noise.
    """

    probability: list[Tensor]
    is_first: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("probability", default=[], dist_reduce_fx="cat")
        self.add_state("is_first", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Keep probabilities and truths of a batch."""
        self.probability.append(logits.softmax(-1)[:, 0])
        self.is_first.append(target == 0)

    def compute(self) -> Tensor:
        """The threshold."""
        probability, is_first = dim_zero_cat(self.probability), dim_zero_cat(self.is_first)
        grid = torch.linspace(*THRESHOLD_RANGE, 41, device=probability.device)
        right = ((probability[None] > grid[:, None]) == is_first[None]).float().mean(1)
        best = right.max()
        worse = right < best - (best * (1 - best) / max(len(probability), 1)).sqrt()
        return grid[(worse + (grid - 0.5).abs()).argmin()]


class ArtefactScores(TaskModule):
    """What both kinds of module share: area under the ROC curve, a threshold from validation, scores per fold."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.threshold = nn.Buffer(torch.tensor(0.5))

    def metrics(self) -> MetricCollection:
        """With area and threshold."""
        further: dict[str, Metric | MetricCollection] = {
            "auc": MulticlassAUROC(len(self.info["classes"])),
            "threshold": BestThreshold(),
        }
        return MetricCollection(
            [super().metrics(), MetricCollection(further, compute_groups=False)], compute_groups=False
        )

    def on_validation_epoch_end(self) -> None:
        """The threshold belongs to the weights of its epoch."""
        super().on_validation_epoch_end()
        self.threshold.fill_(self.val_metrics["threshold"].compute())

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """`prob_<class>`, and the threshold that validation objects gave."""
        columns = super().columns(batch)
        any_class = columns[f"prob_{self.info['classes'][0]}"]
        return {**columns, "threshold": self.threshold.expand_as(any_class).clone()}

    @classmethod
    def finish(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """The decision at the threshold."""
        first, second = info["classes"][:2]
        above = predictions[f"prob_{first}"].to_numpy() > predictions["threshold"].to_numpy()
        return predictions.append_column("decision", pa.array(np.where(above, first, second)))

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """Metrics over all objects, accuracy at the threshold, and mean and standard deviation over the folds."""
        metrics = classification_metrics(predictions, info["classes"])
        first = info["classes"][0]
        truth = np.array(predictions["label"].to_pylist(), dtype=object) == first
        probability = predictions[f"prob_{first}"].to_numpy()
        right = (probability > predictions["threshold"].to_numpy()) == truth
        metrics["accuracy_at_threshold"] = float(right.mean())
        # Folds are known only when every one of them has been scored.
        if not info["folds"] or len(predictions) != info["n_objects"]:
            return metrics
        ids, groups = (predictions[name].to_numpy() for name in ("id", "group"))
        fold = fold_numbers(
            ids, groups, predictions["label"].to_pylist(), info["protocol"], info["n_folds"], info["fold_seed"]
        )
        known = [fold == k for k in range(info["n_folds"]) if len(np.unique(truth[fold == k])) == 2]
        areas = np.array([roc_auc_score(truth[rows], probability[rows]) for rows in known])
        right_share = np.array([right[rows].mean() for rows in known])
        return metrics | {
            "fold_auc_mean": float(areas.mean()),
            "fold_auc_std": float(areas.std()),
            "fold_accuracy_mean": float(right_share.mean()),
            "fold_accuracy_std": float(right_share.std()),
        }


class SequenceModule(ArtefactScores):
    """A sequence network.

    Args:
        criterion: `cross_entropy` or `tversky`.
        label_smoothing: Of the cross-entropy; expert labels of artefacts are not all right.
        tversky_alpha: Weight of false positives; 1 - alpha weighs false negatives.
        **shared: See `TaskModule`.
    """

    def __init__(
        self,
        *,
        criterion: str = "cross_entropy",
        label_smoothing: float = 0.0,
        tversky_alpha: float = 0.5,
        **shared: Any,
    ) -> None:
        if criterion not in LOSSES:
            raise BadInput(f"criterion={criterion} is unknown; choose {' or '.join(LOSSES)}")
        super().__init__(criterion=criterion, label_smoothing=label_smoothing, tversky_alpha=tversky_alpha, **shared)

    def make_network(self) -> nn.Module:
        """The head, as wide as the frames and features of the training data."""
        n_inputs = self.info["latent_dims"] * len(self.info["inputs"])
        sizes = {"n_inputs": n_inputs, "n_features": self.info.get("n_features", 0)}
        return build(self.hparams["model"], n_classes=len(self.info["classes"]), **sizes)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy or `tversky_loss`."""
        if self.hparams["criterion"] == "cross_entropy":
            return nn.functional.cross_entropy(logits, target, label_smoothing=self.hparams["label_smoothing"])
        return tversky_loss(logits, target, self.hparams["tversky_alpha"])


def tversky_loss(logits: Tensor, target: Tensor, alpha: float = 0.5) -> Tensor:
    """1 - the Tversky index (Salehi et al. 2017, arXiv:1706.05721), its mean over the classes.

    Of one class alone the index is 2/3 where half of the objects have the class and all are given it, and training ends there.

    Args:
        logits: Shape (batch, n_classes).
        target: Class numbers, shape (batch,).
        alpha: Weight of false positives; 1 - alpha weighs false negatives.
    """
    p = logits.softmax(-1)
    truth = nn.functional.one_hot(target, p.shape[1]).to(p)
    hit, false_positive, false_negative = (p * truth).sum(0), (p * (1 - truth)).sum(0), ((1 - p) * truth).sum(0)
    return 1 - ((hit + 1) / (hit + alpha * false_positive + (1 - alpha) * false_negative + 1)).mean()


class KernelModule(GradientFreeModule, ArtefactScores):
    """A sum of kernels over pooled statistics and light-curve features: one solution, found in the first epoch."""

    network: KernelRidge

    def make_network(self) -> nn.Module:
        """Without support yet."""
        return KernelRidge(self.info["feature_blocks"], **self.model_settings)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, 2)."""
        return self.network(batch["features"])

    def embed(self, batch: Batch) -> Tensor:
        """The features themselves: the kernel compares objects by their distances."""
        return batch["features"]

    def on_fit_start(self) -> None:
        """Solve for the whole training set, on every rank."""
        data = self.datamodule
        batches = list(whole(data.train_dataloader()))
        features, target = (torch.cat([batch[name] for batch in batches]) for name in ("features", "target"))
        self.network.fit(features.to(self.device), target.to(self.device))
        data.repeat_batches(batches[:1])


class TreesModule(ArtefactScores, BoostedTreesModule):
    """Boosted trees over pooled statistics and light-curve features."""
