"""Is a spectrum of a known class? Its distance from known spectra in the network's embedding, as a p-value."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from astro_lightning.core.calibration import Calibration, Columns, Evidence, Fold, Pairs
from astro_lightning.core.checkpoint import read_checkpoint, restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.whole import save_whole
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.cross import CrossConformal
from astro_lightning.methods.conformal.novelty import KNearest
from astro_lightning.methods.conformal.ranks import Ranks, pooled_p_values
from astro_lightning.methods.conformal.split import SplitConformal

log = logging.getLogger(__name__)

KEY = "novelty"
EMBEDDING = "_embedding"  # column of `SpectraModule.columns` that no user sees
NEIGHBOURS = 5
MAX_REFERENCE = 10_000  # spectra kept in the checkpoint


class Novelty:
    """Conformal p-values of being known, and of each class, from validation spectra that the network never trained on.

    The score is the mean distance to the nearest training spectra of known classes, between embeddings of unit length
    (Sun, Ming, Zhu & Li 2022, arXiv:2204.06507). The embedding is also trained to tell taught unknown kinds apart; the
    distance adds those that nobody foresaw, which the logit of an unknown kind takes for known.

    Args:
        classes: Known classes.
        reference: (m, d) embeddings of training spectra of known classes.
        score: (n,) distances of validation spectra of known classes; n may be 0, and then every p-value is 1.
        probability: (n, classes) of them.
        target: (n,) class numbers of them.
    """

    def __init__(
        self, classes: list[str], reference: np.ndarray, score: np.ndarray, probability: np.ndarray, target: np.ndarray
    ) -> None:
        self.classes = list(classes)
        self.nearest = KNearest(NEIGHBOURS, MAX_REFERENCE).fit(reference)
        self.score, self.probability, self.target = score, probability, target
        self.known = Ranks(score)
        self.conformal = SplitConformal(self.classes).fit(probability, target)

    @classmethod
    def fit(cls, classes: list[str], train: np.ndarray, val: Mapping[str, np.ndarray]) -> "Novelty":
        """Learn from embeddings of training spectra (m, d) and the columns and `target` of validation spectra."""
        probability = np.stack([val[f"prob_{name}"] for name in classes], 1)
        reference = _unit(train)
        score = KNearest(NEIGHBOURS, MAX_REFERENCE).fit(reference).score(_unit(val[EMBEDDING]))
        return cls(classes, reference, score, probability, val["target"].astype(np.int64))

    def columns(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`p_<class>`, `ood_score` (distance) and `p_known` of a batch's probabilities and embeddings."""
        score = self.nearest.score(_unit(columns[EMBEDDING].float().cpu().numpy()))
        probability = torch.stack([columns[f"prob_{name}"] for name in self.classes], 1).float().cpu().numpy()
        p_values = self.conformal.p_values(probability)
        found = {f"p_{name}": p_values[:, i] for i, name in enumerate(self.classes)}
        found |= {"ood_score": score, "p_known": self.known.p_values(score)}
        return {name: torch.from_numpy(np.asarray(values, np.float32)) for name, values in found.items()}

    def state(self) -> dict[str, Any]:
        """Tensors for a checkpoint."""
        arrays = {"reference": self.nearest.reference, "score": self.score, "probability": self.probability}
        state: dict[str, Any] = {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}
        return state | {"target": torch.tensor(self.target), "classes": self.classes}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Novelty":
        """Inverse of `state`."""
        arrays = {name: values.numpy() for name, values in state.items() if isinstance(values, Tensor)}
        return cls(state["classes"], **arrays)


class KnownSpectra(Calibration):
    """`p_known` and `p_<class>` from labelled spectra of another survey in place of the validation spectra.

    A survey that no network saw lies further from the training spectra than those that it learned from, known kinds included.

    Args:
        classes: Known classes.
        alpha: A spectrum is rejected where `p_known` is at most this.
    """

    def __init__(self, classes: Sequence[str], alpha: float) -> None:
        self.classes, self.alpha = list(classes), alpha
        self.conformal = CrossConformal(self.classes)
        self.known: list[Ranks] = []

    def fit(self, folds: Sequence[Fold], names: Sequence[str], survey: Evidence | None) -> None:
        """See `Calibration.fit`."""
        self.renew([fold.calibration for fold in folds])

    def renew(self, held: Sequence[Evidence]) -> None:
        """See `Calibration.renew`.

        Raises:
            BadInput: The networks measure no distance from known spectra.
        """
        if any("ood_score" not in objects.own for objects in held):
            raise BadInput("networks of synthetic spectra alone know no distance from known ones: give a whole run")
        self.conformal.fit([objects.probability for objects in held], [objects.label for objects in held])
        self.known = [Ranks(objects.own["ood_score"]) for objects in held]
        n = sum(ranks.n for ranks in self.known)
        if 1 / (n + 1) > self.alpha:
            needed = math.ceil(1 / self.alpha - 1 - 1e-9)
            log.warning("%d spectra calibrate: none is rejected at %g before there are %d", n, self.alpha, needed)

    def columns(self, evidence: Mapping[int, Evidence], pairs: Pairs | None = None) -> Columns:
        """`p_<class>` and `p_known`; a spectrum without data stays unknown."""
        pairs = pairs or [(f, f) for f in evidence]
        said, against = [evidence[f] for f, _ in pairs], [g for _, g in pairs]
        p = self.conformal.p_values([objects.probability for objects in said], folds=against)
        known = pooled_p_values([self.known[g] for g in against], [objects.own["ood_score"] for objects in said])
        seen = said[0].own["p_known"] > 0
        found = {f"p_{name}": p[:, k] for k, name in enumerate(self.classes)} | {"p_known": known * seen}
        return {name: values.astype(np.float32) for name, values in found.items()}

    def finish(self, predictions: pa.Table) -> pa.Table:
        """Nothing: what is rejected follows from `p_known` as before."""
        return predictions

    def score(self, predictions: pa.Table) -> dict[str, float]:
        """Nothing beside the task's own metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """Plain arrays, for a checkpoint."""
        own = {"classes": self.classes, "alpha": self.alpha}
        return own | {"conformal": self.conformal.state(), "known": [r.state() for r in self.known]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "KnownSpectra":
        """Inverse of `state`."""
        new = cls(state["classes"], state["alpha"])
        new.conformal = CrossConformal.from_state(state["conformal"])
        new.known = [Ranks.from_state(ranks) for ranks in state["known"]]
        return new


def attach_novelty(checkpoint: Path, datamodule: RecordsData, device: torch.device) -> None:
    """Fit a `Novelty` for a checkpoint on its own training and validation spectra, and keep it in the file."""
    restored = restore(checkpoint)
    module, classes = restored.module.to(device), list(restored.info["classes"])
    found = {}
    for part in ("train", "val"):
        parts: list[dict[str, np.ndarray]] = []
        with torch.inference_mode():
            for batch in datamodule.loader(part):
                batch = move_data_to_device(batch, device)
                columns = module.columns(batch) | {"target": batch["target"]}
                known = (batch["target"] >= 0) & (batch["target"] < len(classes))
                parts.append({name: values[known].float().cpu().numpy() for name, values in columns.items()})
        found[part] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    novelty = Novelty.fit(classes, found["train"][EMBEDDING], found["val"])
    content = read_checkpoint(checkpoint) | {KEY: novelty.state()}
    save_whole(content, checkpoint)


def _unit(embedding: np.ndarray) -> np.ndarray:
    return embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
