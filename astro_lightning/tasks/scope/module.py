"""What the classifiers of variable stars share: choosing the period, features at it, tags and types out of logits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from lightning_fabric.utilities import move_data_to_device
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import binary_f1_score, multiclass_accuracy

from astro_lightning.core.checkpoint import read_weights, restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.metrics import classification_metrics, probabilities
from astro_lightning.core.ranks import of_all_ranks
from astro_lightning.core.task import TaskModule
from astro_lightning.data.records import Records
from astro_lightning.methods.periodograms.light_curves import LightCurves
from astro_lightning.report.style import save_picture
from astro_lightning.tasks.scope import pictures
from astro_lightning.tasks.scope.chooser import Chooser
from astro_lightning.tasks.scope.data import PERIOD_TOLERANCE
from astro_lightning.tasks.scope.features import FEATURES, PERIODIC, periodic
from astro_lightning.tasks.scope.measure import MIN_POINTS
from astro_lightning.tasks.scope.mistakes import draw_mistakes
from astro_lightning.tasks.scope.taxonomy import Taxonomy


class ScopeModule(TaskModule):
    """Base of the classifiers; logits are those of the types, then those of the tags, shape (batch, types + tags).

    A tag's probability is the mean of its own and of its share among the types. It is shifted so that 0.5 is the
    threshold of the highest F1 score that the probabilities of the validation objects let expect.

    Args:
        chooser: Checkpoint of the stage that learned to choose periods; null = the rule of `Chooser` without trees decides.
        chooser_folds: Folds of that stage.
        types: Whether the types are learned as well; a table of tags has none.
        weight_per_class: Whether the objects that have a tag weigh together as much as those that have it not.
        arguments: Of `TaskModule`.
    """

    network: nn.ModuleDict

    def __init__(
        self, *, chooser: str | None = None, chooser_folds: int = 4, types: bool = True, weight_per_class: bool = False,
        **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            chooser=chooser, chooser_folds=chooser_folds, types=types, weight_per_class=weight_per_class, **arguments
        )
        tags = self.info["tags"]
        self.n_types = len(self.info["classes"]) if types else 0
        share = torch.from_numpy(tags_of_types(self.info).astype(np.float32))
        self.share = nn.Buffer(share)
        self.threshold = nn.Buffer(torch.full((len(tags),), 0.5))
        self.positive_weight = nn.Buffer(torch.ones(len(tags)))
        self._validated: list[tuple[Tensor, Tensor, Tensor]] = []

    @classmethod
    def exclusive(cls, settings_: Mapping[str, Any]) -> bool:
        """Types exclude each other, tags do not."""
        return bool(settings_.get("types", True))

    # ---- what a classifier overrides

    not_averaged = ("period",)

    def make_classifier(self) -> nn.Module:
        """From (features, batch) to logits."""
        raise NotImplementedError

    def classify(self, features: Tensor, batch: Batch) -> Tensor:
        """Logits (batch, types + tags) of features (batch, len(FEATURES)), NaN = missing."""
        raise NotImplementedError

    # ---- shared

    def make_network(self) -> nn.Module:
        """Chooser and classifier, so that one checkpoint scores raw light curves."""
        return nn.ModuleDict(
            {"chooser": Chooser(self.hparams["chooser_folds"], {}), "classifier": self.make_classifier()}
        )

    def on_fit_start(self) -> None:
        """Take over the chooser; weigh the tags."""
        path = self.hparams["chooser"]
        if path is not None:
            self.network["chooser"].load_state_dict(read_weights(Path(path)))
        if self.hparams["weight_per_class"]:
            batches = self.datamodule.loader("train")
            tags = torch.cat([batch["tags"] for batch in batches])
            self.positive_weight.copy_((tags == 0).sum(0) / (tags == 1).sum(0).clamp_min(1))

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """All features at the chosen period, shape (batch, len(FEATURES)): the batch's own, or measured here."""
        if "features" in batch:
            return batch["features"]
        curves = LightCurves(*(batch[name] for name in ("time_d", "mag", "mag_err", "valid")))
        with torch.autocast(self.device.type, enabled=False):  # three digits do not solve normal equations
            found = periodic(curves, batch, self.network["chooser"](batch))
        features = torch.cat([batch["statistics"], found], 1)
        return features.masked_fill((curves.count < MIN_POINTS)[:, None], torch.nan)

    def features_of(self, batches: Iterable[Batch]) -> Tensor:
        """Features of all these batches, on this module's device, wherever the batches lie."""
        return torch.cat([self.features(move_data_to_device(batch, self.device)) for batch in batches])

    def forward(self, batch: Batch) -> Tensor:
        """Logits, shape (batch, types + tags)."""
        return self.classify(self.features(batch), batch)

    def metrics(self) -> MetricCollection:
        """None of (logits, target): see `on_validation_epoch_end`."""
        return MetricCollection({})

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Cross-entropy of the type plus the mean binary cross-entropy of the tags."""
        loss = self.joint_loss(self(batch), batch)
        self.log("train/loss", loss, batch_size=len(batch["row"]), prog_bar=True)
        return loss

    def joint_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar; unknown types and tags do not count."""
        types = self.n_types
        tags = batch["tags"].nan_to_num(0.0)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits[:, types:], tags, reduction="none", pos_weight=self.positive_weight
        )
        loss = (loss * ~batch["tags"].isnan()).mean()
        known = batch["target"] >= 0
        if types and known.any():
            loss = loss + nn.functional.cross_entropy(logits[known, :types], batch["target"][known])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss of a batch; its logits are kept for the epoch's metrics."""
        logits = self(batch)
        self.log(
            "val/loss",
            self.joint_loss(logits, batch),
            batch_size=len(batch["row"]),
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
        )
        truth = torch.cat([batch["target"][:, None].float(), batch["tags"]], 1)
        self._validated.append((batch["row"].to(logits.device), logits, truth))

    def on_validation_epoch_end(self) -> None:
        """Accuracy of the types, F1 of each tag and their mean, and the tags' thresholds."""
        logits, truth = of_all_ranks(*(torch.cat(parts) for parts in zip(*self._validated)))
        self._validated.clear()
        target, held = truth[:, 0].long(), truth[:, 1:]
        types, tags = self.probabilities(logits)
        self.threshold.copy_(expected_f1_threshold(tags))
        known = ~held.isnan()
        scores = {
            f"val/f1_{name}": binary_f1_score(probability[of_tag], value[of_tag].long())
            for name, probability, value, of_tag in zip(self.info["tags"], self.centred(tags).T, held.T, known.T)
            if of_tag.any()
        }
        if scores:
            self.log("val/macro_f1", torch.stack(list(scores.values())).mean(), prog_bar=True)
        if len(scores) > 1:
            self.log_dict(scores)
        if self.n_types and (target >= 0).any():
            found = multiclass_accuracy(types[target >= 0], target[target >= 0], types.shape[1], average="micro")
            self.log("val/accuracy", found, prog_bar=True)

    def probabilities(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Types (batch, n_types) and tags (batch, n_tags)."""
        types, logits = self.n_types, logits.float()
        of_type, of_tag = logits[:, :types].softmax(1), logits[:, types:].sigmoid()
        # no matrix product: at half precision that would give tags of three digits
        return of_type, (of_tag + (of_type[:, :, None] * self.share).sum(1)) / 2 if types else of_tag

    def centred(self, tags: Tensor) -> Tensor:
        """Probabilities with every tag's threshold moved to 0.5 (odds divided by the threshold's odds)."""
        odds = tags / (1 - tags).clamp_min(1e-9) * ((1 - self.threshold) / self.threshold)
        return odds / (1 + odds)

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        """`prob_<type>`, `prob_<tag>`, `period` (days), and `period_reference` where the catalogue gives one."""
        features = self.features(batch)
        types, tags = self.probabilities(self.classify(features, batch))
        tags = self.centred(tags)
        columns = {f"prob_{name}": types[:, i] for i, name in enumerate(self.info["classes"][: self.n_types])}
        columns |= {f"prob_{name}": tags[:, i] for i, name in enumerate(self.info["tags"])}
        if "period_d" not in batch:
            return columns
        start = len(FEATURES) - len(PERIODIC)
        return columns | {"period": 10 ** features[:, start].double(), "period_reference": batch["period_d"]}

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """Pictures of the validation objects: periods found, and a folded curve of each type."""
        if "columns" in self.info:
            return {}
        module, batches = restore(best).module, list(datamodule.loader("val"))
        period = [module.columns(batch)["period"].numpy() for batch in batches]
        reference = np.concatenate([batch["period_d"].numpy() for batch in batches])
        if np.isfinite(reference).any():
            figure = pictures.periods(np.concatenate(period), reference)
            save_picture(folder, "periods", figure, "Periods of the validation objects. Grey: half and double.")
        figure = pictures.folded(batches[0], period[0], self.info["classes"])
        save_picture(folder, "folded", figure, "A validation object of each type, folded at the period found.")
        return {}

    @classmethod
    def show_tested(cls, records: Records, rows: np.ndarray, folder: Path) -> None:
        """Folded light curves of the surest mistakes among the types; a table of features has none."""
        if "mjd" in records.ragged:
            draw_mistakes(records, rows, folder)

    @classmethod
    def finish(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Add `type`, the most probable one; drop `period_reference` where no object has one."""
        if types := types_scored(predictions, info):
            found = pa.array([types[i] for i in probabilities(predictions, types).argmax(1)], pa.string())
            predictions = predictions.append_column("type", found)
        if "period_reference" not in predictions.column_names:
            return predictions
        reference = predictions["period_reference"].to_numpy()
        return predictions if np.isfinite(reference).any() else predictions.drop_columns(["period_reference"])

    @classmethod
    def with_truth(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """The tags of every object's label, null where it does not say."""
        if "label" not in predictions.column_names:
            return predictions
        truth = tags_of_labels(predictions["label"].to_pylist(), info)
        for tag, held in zip(info["tags"], truth.T):
            known = np.isfinite(held)
            values = pa.array(np.where(known, held, 0).astype(np.int8), mask=~known)
            predictions = predictions.append_column(f"truth_{tag}", values)
        return predictions

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """Type metrics, F1 at 0.5 of every tag that occurs and their mean, periods within 1% (also with harmonics 1/2, 2)."""
        types = types_scored(predictions, info)
        metrics = classification_metrics(predictions, types) if types else {}
        labels = predictions["label"].to_pylist()
        truths = tags_of_labels(labels, info)
        of_tag = {}
        for tag, truth in zip(info["tags"], truths.T):
            known, found = np.isfinite(truth), predictions[f"prob_{tag}"].to_numpy() > 0.5
            if (truth == 1).any():  # as a class that does not occur, a tag that no object has is not in the mean
                of_tag[tag] = float(f1_score(truth[known] == 1, found[known], zero_division=0))
        if of_tag:
            metrics["tag_macro_f1"] = float(np.mean(list(of_tag.values())))
        metrics |= {f"tag_f1_{tag}": value for tag, value in of_tag.items()}
        if "period_reference" in predictions.column_names:
            period_d, reference_d = predictions["period"].to_numpy(), predictions["period_reference"].to_numpy()
            known = np.isfinite(period_d / reference_d)
            exact, harmonic = period_found(period_d, reference_d)
            for name in info["classes"]:
                rows = known & (np.array(labels, dtype=object) == name)
                if rows.any():
                    metrics |= {
                        f"period_exact_{name}": float(exact[rows].mean()),
                        f"period_harmonic_{name}": float(harmonic[rows].mean()),
                    }
        return metrics


def period_found(period_d: np.ndarray, reference_d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each period is within 1% of its reference, and whether it, its half or its double is."""
    ratio = period_d / reference_d
    exact = np.abs(ratio - 1) < PERIOD_TOLERANCE
    return exact, exact | (np.abs(ratio - 2) < 2 * PERIOD_TOLERANCE) | (np.abs(2 * ratio - 1) < PERIOD_TOLERANCE)


def types_scored(predictions: pa.Table, info: Mapping[str, Any]) -> list[str]:
    """The types that a table of predictions has probabilities of."""
    return [name for name in info["classes"] if f"prob_{name}" in predictions.column_names]


def tags_of_labels(labels: Sequence[str | None], info: Mapping[str, Any]) -> np.ndarray:
    """1 where a tag holds for an object's label, NaN where it does not say; shape (objects, tags).

    The label is a type, which says nothing where the taxonomy does not know it, or in a table of tags the tags that hold and, with
    a question mark, those nobody was sure of.
    """
    if info["classes"]:
        taxonomy = Taxonomy.from_config(info["taxonomy"])
        return taxonomy.targets(labels, info["tags"])
    words = [(label or "").split() for label in labels]
    return np.array([[np.nan if f"?{tag}" in held else tag in held for tag in info["tags"]] for held in words], float)


def tags_of_types(info: Mapping[str, Any]) -> np.ndarray:
    """1 where a tag holds for a type, shape (types, tags); a type that the taxonomy does not know has none."""
    taxonomy = Taxonomy.from_config(info["taxonomy"])
    held = taxonomy.targets(info["classes"], info["tags"])
    return np.nan_to_num(held).reshape(len(info["classes"]), len(info["tags"]))


def expected_f1_threshold(probability: Tensor) -> Tensor:
    """Threshold of each column that maximises the F1 score expected from the probabilities themselves.

    Labels play no part: of a rare tag the validation split holds too few to place a threshold by.

    Args:
        probability: Calibrated probabilities, shape (objects, tags).

    Returns:
        Thresholds in [0.05, 0.95], shape (tags,).
    """
    ordered = probability.double().sort(0, descending=True).values
    taken = torch.arange(1, len(ordered) + 1, device=ordered.device)[:, None]
    f1 = 2 * ordered.cumsum(0) / (taken + ordered.sum(0))
    best = f1.argmax(0, keepdim=True)
    following = ordered.gather(0, (best + 1).clamp_max(len(ordered) - 1))
    return ((ordered.gather(0, best) + following) / 2)[0].clamp(0.05, 0.95).float()
