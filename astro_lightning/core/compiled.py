"""Networks through torch.compile, in place: checkpoints are the same with and without."""

import os
import shutil

import pytorch_lightning as pl
import torch
from torch import nn

from astro_lightning.data.errors import BadInput


class Compile(pl.Callback):
    """Compiles what is descended at the start of a stage; boosted trees, forests and kernels have nothing to compile."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compile the network, or each network of several."""
        network = getattr(pl_module, "network", None)
        if pl_module.automatic_optimization and network is not None:
            for part in network.values() if isinstance(network, nn.ModuleDict) else [network]:
                part.compile()


def check_compiler(accelerator: str) -> None:
    """Say in one line that a processor's code cannot be compiled here, before the first step fails.

    Raises:
        BadInput: There is no C++ compiler.
    """
    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    if on_cpu and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        raise BadInput("trainer.compile=true needs a C++ compiler on a processor: install g++, or leave it out")
