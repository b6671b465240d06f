"""Classifiers of tables whose class proportions may differ from the training set's; boosted trees among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from astro_lightning.core.calibration import EMBEDDING, LOGITS
from astro_lightning.core.loader import Batch
from astro_lightning.core.metrics import probabilities
from astro_lightning.core.task import TaskModule, centred
from astro_lightning.data.records import Records
from astro_lightning.methods.boosted_trees import BoostedTreesModule
from astro_lightning.methods.conformal.prior_shift import em_prior, reweight
from astro_lightning.tasks.plasticc.examples import keep_mistakes
from astro_lightning.tasks.plasticc.metric import contest_metrics

# Fewer objects say too little of the proportions.
MIN_OBJECTS = 200


class LabelShiftModule(TaskModule):
    """With `label_shift` of its data module, corrects for the class proportions of the whole table that is scored."""

    @classmethod
    def finish(cls, predictions: pa.Table, info: Mapping[str, Any]) -> pa.Table:
        """Probabilities at the proportions that the table itself shows (Saerens, Latinne & Decaestecker 2002)."""
        if not info.get("label_shift") or predictions.num_rows < MIN_OBJECTS:
            return predictions
        before = probabilities(predictions, info["classes"])
        before /= before.sum(1, keepdims=True)
        counts = np.maximum(np.asarray(info["counts"], dtype=np.float64), 1) ** (1 - float(info["balance"]))
        prior = counts / counts.sum()
        after = reweight(before, prior, em_prior(before, prior))
        for i, name in enumerate(info["classes"]):
            column = f"prob_{name}"
            values = pa.array(after[:, i].astype(np.float32))
            predictions = predictions.set_column(predictions.column_names.index(column), column, values)
        return predictions

    def evidence(self, batch: Batch) -> dict[str, Tensor]:
        """Logits, and the hand features as embedding."""
        return {LOGITS: centred(self(batch)), EMBEDDING: batch["features"]}

    @classmethod
    def show_tested(cls, records: Records, rows: np.ndarray, folder: Path) -> None:
        """For the report, the light curves of the surest mistakes."""
        keep_mistakes(records, rows, folder)

    @classmethod
    def score(cls, predictions: pa.Table, info: Mapping[str, Any]) -> dict[str, float]:
        """The usual metrics, and the contest's where the classes are PLAsTiCC's targets."""
        return super().score(predictions, info) | contest_metrics(predictions, info["classes"])


class TreesModule(LabelShiftModule, BoostedTreesModule):
    """Boosted trees on hand features."""
