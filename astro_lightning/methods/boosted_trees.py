"""Boosted trees (XGBoost, Chen & Guestrin 2016, arXiv:1603.02754) under the Trainer: an epoch is some boosting rounds."""

import itertools
from typing import Any

import numpy as np
import torch
import xgboost as xgb
from torch import Tensor, nn

from astro_lightning.core.loader import Batch, whole
from astro_lightning.methods.gradient_free import GradientFreeModule

# Log-odds of soft labels stay within +-6: beyond, a teacher's differences are no information.
SMALLEST_ODDS = 0.0025
N_RUNS_OF_TREES = 16


class BoostedTrees(nn.Module):
    """A booster whose trees are kept in the state dict as the bytes of XGBoost's own UBJSON format.

    Args:
        n_classes: Two classes are one logistic margin, more are a softmax.
        parameters: XGBoost's parameters (`max_depth`, `eta`, ...); the objective follows from `n_classes` unless it is among
            them: `reg:squarederror` with two classes fits the log-odds of soft labels.
    """

    def __init__(self, n_classes: int, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.n_classes = n_classes
        objective = (
            {"objective": "binary:logistic"}
            if n_classes == 2
            else {"objective": "multi:softprob", "num_class": n_classes}
        )
        # The random choices of a round follow its number, so that a resumed run grows the trees of an unbroken one, to rounding.
        self.xgboost_parameters = {
            "seed_per_iteration": True,
            "nthread": 1,
            "tree_method": "hist",
            **objective,
            **parameters,
        }
        self.booster: xgb.Booster | None = None

    def grow(self, matrix: xgb.DMatrix, rounds: int) -> None:
        """Add boosting rounds."""
        if self.booster is None:
            self.booster = xgb.Booster(self.xgboost_parameters, [matrix])
        start = self.booster.num_boosted_rounds()
        for i in range(start, start + rounds):
            self.booster.update(matrix, i)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, n_classes) of features (batch, n_features); NaN is a missing value. Without trees they are 0."""
        if self.booster is None:
            return features.new_zeros(len(features), self.n_classes)
        margin = self.booster.inplace_predict(features.cpu().numpy(), predict_type="margin")
        logits = torch.from_numpy(np.asarray(margin, dtype=np.float32)).to(features.device)
        return torch.stack([torch.zeros_like(logits), logits], 1) if self.n_classes == 2 else logits

    def embed(self, features: Tensor) -> Tensor:
        """What each of up to 16 runs of consecutive trees adds to the logits, (batch, runs x classes).

        Objects that fall into the same leaves of the same trees lie close together, whatever the features' units.
        """
        if self.booster is None:
            return self(features)
        values, rounds = features.cpu().numpy(), self.booster.num_boosted_rounds()
        ends = np.unique(np.linspace(0, rounds, N_RUNS_OF_TREES + 1).astype(int))
        parts = [
            np.reshape(
                self.booster.inplace_predict(values, predict_type="margin", iteration_range=(int(a), int(b))),
                (len(values), -1),
            )
            for a, b in itertools.pairwise(ends)
        ]
        return torch.from_numpy(np.concatenate(parts, 1, dtype=np.float32)).to(features.device)

    def get_extra_state(self) -> Tensor:
        """The trees as a uint8 tensor; empty before the first round."""
        raw = self.booster.save_raw("ubj") if self.booster else b""
        return torch.frombuffer(bytearray(raw), dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Bring the trees back."""
        self.booster = None
        if state.numel():
            self.booster = xgb.Booster(self.xgboost_parameters)
            self.booster.load_model(bytearray(state.cpu().numpy().tobytes()))
            self.booster.set_param(self.xgboost_parameters)

    def gain(self) -> dict[int, float]:
        """Total gain of each feature that a tree uses, by its number."""
        scores = self.booster.get_score(importance_type="total_gain") if self.booster else {}
        # a list only of linear boosters
        return {int(name.removeprefix("f")): float(value) for name, value in scores.items()}  # type: ignore[arg-type]


class BoostedTreesModule(GradientFreeModule):
    """Trains `BoostedTrees` on batches with `features` (batch, n_features) and, optionally, `weight` (batch,).

    With two classes `soft` (batch,), probabilities of the second, may stand for the class numbers.

    The training set is gathered once, and an epoch is one batch of it, kept: `rounds_per_epoch` trees (times classes).
    """

    network: BoostedTrees

    def __init__(self, *, rounds_per_epoch: int = 20, **arguments: Any) -> None:
        super().__init__(rounds_per_epoch=rounds_per_epoch, **arguments)
        self.matrix: xgb.QuantileDMatrix | None = None

    def make_network(self) -> nn.Module:
        """The empty booster."""
        return BoostedTrees(len(self.info["classes"]), self.model_settings)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, n_classes)."""
        return self.network(batch["features"])

    def embed(self, batch: Batch) -> Tensor:
        """See `BoostedTrees.embed`."""
        return self.network.embed(batch["features"])

    def on_fit_start(self) -> None:
        """Gather the training features and quantise them once."""
        data = self.datamodule
        batches = list(whole(data.train_dataloader()))
        features = torch.cat([batch["features"] for batch in batches]).numpy()
        name = "soft" if "soft" in batches[0] else "target"
        target = torch.cat([batch[name] for batch in batches]).numpy()
        if self.hparams["model"].get("objective") == "reg:squarederror":
            target = np.log(np.clip(target, SMALLEST_ODDS, 1) / np.clip(1 - target, SMALLEST_ODDS, 1))
        weight = torch.cat([batch["weight"] for batch in batches]).numpy() if "weight" in batches[0] else None
        bins = int(self.hparams["model"].get("max_bin", 256))
        self.matrix = xgb.QuantileDMatrix(features, target, weight=weight, max_bin=bins)
        data.repeat_batches(batches[:1])

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Boosting rounds, at the only batch of an epoch."""
        assert self.matrix is not None
        self.network.grow(self.matrix, self.hparams["rounds_per_epoch"])
        self.log("train/loss", self.loss(self(batch), batch["target"]), batch_size=len(batch["row"]))
        super().training_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the number of rounds: as the stage's monitor (mode max) it keeps the last epoch."""
        super().on_validation_epoch_end()
        self.log("val/rounds", float(self.network.booster.num_boosted_rounds() if self.network.booster else 0))
