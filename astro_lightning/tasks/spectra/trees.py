"""Principal components and boosted trees over the channels of a spectrum: the baseline behind the same interface."""

from pathlib import Path
from typing import Any

import torch
import xgboost as xgb
from torch import Tensor, nn

from astro_lightning.core.build import build
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch, whole
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.boosted_trees import BoostedTrees, BoostedTreesModule
from astro_lightning.tasks.spectra.scoring import spectra_metrics, with_clean
from astro_lightning.tasks.spectra.tested import report_stage

# Level and lines; mask and position would tell the instrument.
CHANNELS_USED = 2


class PcaTrees(BoostedTrees):
    """Boosted trees over the first principal components of the flattened inputs.

    Args:
        n_classes: Known classes.
        n_inputs: Bins times channels used.
        n_components: Principal components.
        parameters: Of XGBoost.
    """

    def __init__(self, n_classes: int, n_inputs: int, n_components: int, parameters: dict[str, Any]) -> None:
        super().__init__(n_classes, parameters)
        self.mean = nn.Buffer(torch.zeros(n_inputs))
        self.components = nn.Buffer(torch.zeros(n_inputs, n_components))

    def fit_components(self, flat: Tensor) -> None:
        """Principal components of (n, n_inputs) by randomised singular value decomposition.

        Raises:
            BadInput: There are more components than spectra.
        """
        n_components = self.components.shape[1]
        if n_components > len(flat):
            raise BadInput(
                f"{len(flat)} spectra to learn from have no {n_components} components: give more, or a smaller model.n_components"
            )
        self.mean.copy_(flat.mean(0))
        _, _, vectors = torch.pca_lowrank(flat - self.mean, n_components, center=False, niter=4)
        self.components.copy_(vectors)

    def project(self, flat: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_components)."""
        return (flat - self.mean) @ self.components

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, n_classes) of flattened inputs (n, n_inputs)."""
        return super().forward(self.project(features))


class SpectraTreesModule(BoostedTreesModule):
    """PCA + XGBoost on spectra; it has no logit of unknown kinds, so it rejects nothing."""

    network: PcaTrees

    def make_network(self) -> nn.Module:
        """Components without values and no trees yet.

        Raises:
            BadInput: The inputs are in the published form.
        """
        if self.info["inputs"]["form"] != "channels":
            raise BadInput("task.inputs.form=published is for networks: the trees read task.inputs.form=channels")
        n_inputs = CHANNELS_USED * int(self.info["inputs"]["n_bins"])
        return build(self.hparams["model"], n_classes=len(self.info["classes"]), n_inputs=n_inputs)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_classes)."""
        return self.network(flat_inputs(batch))

    def embed(self, batch: Batch) -> Tensor:
        """Principal components (B, n_components)."""
        return self.network.project(flat_inputs(batch))

    def on_fit_start(self) -> None:
        """Fit the components and quantise the training set once."""
        data = self.datamodule
        batches = list(whole(data.train_dataloader()))
        flat = torch.cat([flat_inputs(batch) for batch in batches]).to(self.device)
        if self.network.booster is None:
            self.network.fit_components(flat)
        target = torch.cat([batch["target"] for batch in batches])
        self.matrix = xgb.QuantileDMatrix(self.network.project(flat).cpu().numpy(), target.numpy())
        data.repeat_batches(batches[:1])

    def hand_over(self, best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
        """The table of tested spectra, drawn into the report."""
        if not best.exists() or not self.trainer.is_global_zero or not len(datamodule.splits["test"]):
            return {}
        return report_stage(best, datamodule, folder)

    def columns(self, batch: Batch) -> dict[str, Any]:
        """Class probabilities and the facts that reports need."""
        return {
            **super().columns(batch),
            **{name: batch[name] for name in ("survey", "snr", "zwarning") if name in batch},
        }

    @classmethod
    def with_truth(cls, predictions: Any, info: Any) -> Any:
        """Add `counted`, so that reports count what `score` does."""
        return with_clean(predictions, list(info["classes"]))

    @classmethod
    def score(cls, predictions: Any, info: Any) -> dict[str, float]:
        """Metrics on clean spectra, by survey and signal-to-noise ratio."""
        return spectra_metrics(predictions, list(info["classes"]))


def flat_inputs(batch: Batch) -> Tensor:
    """Level and lines side by side: (B, 2 bins)."""
    return batch["inputs"][:, :CHANNELS_USED].flatten(1)
