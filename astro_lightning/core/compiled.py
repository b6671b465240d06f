"""Networks through torch.compile, in place: checkpoints are the same with and without."""

import os
import shutil
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from astro_lightning.data.errors import BadInput


class Compile(pl.Callback):
    """Compiles what is descended at the start of a stage; boosted trees, forests and kernels have nothing to compile."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compile the networks."""
        if pl_module.automatic_optimization:
            compile_networks(pl_module)


def compile_networks(module: Any) -> None:
    """Compile a module's network, or each of several that learns; a call compiles for the shapes that it meets."""
    waiting = [module.network]
    while waiting:
        part = waiting.pop()
        if isinstance(part, nn.ModuleDict):  # holds networks by name and is never called itself
            waiting.extend(part.values())
        elif any(p.requires_grad for p in part.parameters()):
            part.compile()


def check_compiler(accelerator: str) -> None:
    """Say in one line that a processor's code cannot be compiled here, before the first step fails.

    Raises:
        BadInput: There is no C++ compiler.
    """
    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    if on_cpu and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        raise BadInput("trainer.compile=true needs a C++ compiler on a processor: install g++, or leave it out")
