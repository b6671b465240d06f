"""Stage that learns to choose periods from a catalogue's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import xgboost as xgb
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from astro_lightning.core.checkpoint import read_checkpoint
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.periodograms.candidates import CANDIDATES
from astro_lightning.tasks.scope.boosting import BoostingModule
from astro_lightning.tasks.scope.chooser import Chooser


class PeriodModule(BoostingModule):
    """Trains a `Chooser` on the candidates of the training objects, fold by fold, and scores all objects' candidates.

    Args:
        folds: Folds of the training objects.
        negatives: Share of the wrong candidates that is learned from.
        arguments: Of `BoostingModule`; `model` holds XGBoost's parameters.
    """

    network: Chooser

    def __init__(self, *, folds: int = 4, negatives: float = 0.4, **arguments: Any) -> None:
        super().__init__(folds=folds, negatives=negatives, **arguments)

    def make_network(self) -> nn.Module:
        """The chooser without trees."""
        return Chooser(self.hparams["folds"], self.model_settings)

    def metrics(self) -> MetricCollection:
        """Share of objects whose best candidate is within 1% of the catalogue's period."""
        return MetricCollection({"exact": MeanMetric()})

    def forward(self, batch: Batch) -> Tensor:
        """Scores, shape (batch, candidates)."""
        return self.network(batch)

    def on_fit_start(self) -> None:
        """Gather and quantise each fold's candidates once."""
        data = self.datamodule
        rng = np.random.default_rng(0)
        parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self.hparams["folds"])]
        for batch in data.loader("train"):
            inputs, right = Chooser.inputs(batch).numpy(), batch["right"].numpy()
            known = ~np.isnan(right[:, 0])
            keep = (right == 1) | (rng.random(right.shape) < self.hparams["negatives"])
            fold = self.fold(data, batch["row"].numpy())
            for i, part in enumerate(parts):
                chosen = keep & ((fold != i) & known)[:, None]
                part.append((inputs[chosen], right[chosen]))
        if not sum(len(target) for _, target in parts[0]):
            raise BadInput(
                "no training object has a period: give records with the column period, or leave this stage out"
            )
        data.repeat_batches([batch])
        for part in parts:
            inputs, target = (np.concatenate(arrays) for arrays in zip(*part))
            self.matrices.append(xgb.QuantileDMatrix(inputs, target, max_bin=self.bins))

    def fold(self, data: RecordsData, rows: np.ndarray) -> np.ndarray:
        """Fold of training rows, by their group; -1 for rows of other splits, shape (rows,)."""
        _, group = np.unique(data.records.groups, return_inverse=True)
        fold = np.random.default_rng(1).integers(0, self.hparams["folds"], group.max() + 1)[group]
        of_row = np.full(len(data.records), -1)
        of_row[data.splits["train"]] = fold[data.splits["train"]]
        return of_row[rows]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss over candidates, and the share of right first choices."""
        score, right = self(batch), batch["right"]
        known = ~right[:, 0].isnan()
        if not known.any():
            return
        score, right = score[known], right[known]
        loss = nn.functional.binary_cross_entropy_with_logits(score, right)
        self.val_metrics["exact"].update(right.gather(1, score.argmax(1, keepdim=True)))
        self.log("val/loss", loss, batch_size=len(right), on_epoch=True, prog_bar=True, sync_dist=True)
        self.log_dict(self.val_metrics, on_step=False, on_epoch=True, prog_bar=True)

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """`score`: scores of all candidates of all objects (`.npy`), training objects by trees that never saw them."""
        self.load_state_dict(read_checkpoint(best)["state_dict"])
        out = np.zeros((len(datamodule.records), CANDIDATES), np.float32)
        for part, rows in datamodule.splits.items():
            for batch in datamodule.loader(part) if len(rows) else ():
                row = batch["row"].numpy()
                score = self(batch).numpy()
                if part == "train":
                    fold, inputs = self.fold(datamodule, row), Chooser.inputs(batch)
                    for i in range(self.hparams["folds"]):
                        mine = torch.from_numpy(np.flatnonzero(fold == i))
                        if len(mine):
                            score[mine] = self.network.scores(inputs[mine], i).numpy()
                out[row] = score
        path = folder / "checkpoints" / best.parent.name / "score.npy"
        np.save(path, out)
        return {"score": path}
