"""The published network under the Trainer, one label or all at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from astro_lightning.core.loader import Batch
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.scope.features import FEATURES
from astro_lightning.tasks.scope.fourier import FOURIER
from astro_lightning.tasks.scope.module import ScopeModule
from astro_lightning.tasks.scope.network import ScopeNetwork
from astro_lightning.tasks.scope.scaling import Preparation
from astro_lightning.tasks.scope.statistics import STATISTICS

FEATURE_SETS = {
    "phenomenological": (*FOURIER, *STATISTICS[1:]),
    "all": FEATURES,
}


class ScopeNetModule(ScopeModule):
    """Dense and convolutional branches over scaled, imputed features and the dm-dt image.

    Without types, with one label, `model.head=16` and `features=phenomenological` it is the published network.

    Args:
        features: `phenomenological` (the 35 published inputs) or `all`.
        scaling: See `scaling.Preparation`.
        imputation: See `scaling.Preparation`.
        arguments: Of `ScopeModule`.
    """

    def __init__(
        self, *, features: str = "all", scaling: str = "quantile", imputation: str = "median", **arguments: Any
    ) -> None:
        if features not in FEATURE_SETS:
            raise BadInput(f"features={features} is unknown; choose {', '.join(FEATURE_SETS)}")
        super().__init__(features=features, scaling=scaling, imputation=imputation, **arguments)
        # A published table says itself which columns are inputs and how their gaps are filled.
        columns = self.info.get("columns")
        self.columns_used = [FEATURES.index(name) for name in FEATURE_SETS[features]]
        if columns is not None:
            self.columns_used = list(range(len(columns)))
            self.hparams["imputation"] = self.info["imputation"]

    def make_classifier(self) -> nn.Module:
        """Preparation of the features, then the network."""
        inputs, tags = len(self.columns_used), len(self.info["tags"])
        preparation = Preparation(inputs, self.hparams["scaling"], self.hparams["imputation"])
        outputs = self.n_types + tags
        return nn.ModuleDict(
            {"preparation": preparation, "network": ScopeNetwork(inputs, outputs, **self.model_settings)}
        )

    def classify(self, features: Tensor, batch: Batch) -> Tensor:
        """Logits of types, where they are learned, and tags."""
        parts = self.part("classifier", nn.ModuleDict)
        inputs = parts["preparation"](features[:, self.columns_used].float())
        return parts["network"]({"features": inputs, "dmdt": batch["dmdt"]})

    def on_fit_start(self) -> None:
        """Take over the chooser; fit the preparation on the training rows."""
        super().on_fit_start()
        loader = self.datamodule.loader("train")
        features = self.features_of(loader)
        self.part("classifier.preparation", Preparation).fit(features[:, self.columns_used])
