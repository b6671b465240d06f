"""Models that are fitted rather than descended, under the Trainer: boosted trees, forests, kernels."""

from typing import Any

import torch
from torch import nn

from astro_lightning.core.loader import Batch
from astro_lightning.core.task import TaskModule


class GradientFreeModule(TaskModule):
    """Base of modules whose `training_step` learns by itself and then calls the one here."""

    precision = "32-true"  # little is multiplied here, and fewer digits would put numbers on the other side of a split

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.automatic_optimization = False
        # The Trainer counts optimizer steps; without one it would never save a checkpoint.
        self.step_counter = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """The step that the Trainer counts; it changes nothing."""
        optimizer = self.optimizers()
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """An optimizer of one parameter that no gradient ever reaches."""
        return torch.optim.SGD([self.step_counter], lr=0.0)

    def on_train_epoch_end(self) -> None:
        """No learning rate to lower."""
