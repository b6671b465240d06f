"""Parameters, gradients and optimiser state divided among ranks: PyTorch's `fully_shard`, on GPUs and on processors alike."""

import logging

import pytorch_lightning as pl
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from astro_lightning.data.errors import BadInput

log = logging.getLogger(__name__)


class Sharded(ModelParallelStrategy):
    """Shards `network` of a module: each block of its lists, then the whole.

    A checkpoint is one file with the whole of the weights, as from any other strategy, and loads on any number of ranks.

    Args:
        ranks: Number of processes.
    """

    def __init__(self, ranks: int) -> None:
        super().__init__(data_parallel_size=ranks, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup(self, trainer: pl.Trainer) -> None:
        """Shard, then move the module to its device and make its optimisers.

        Raises:
            BadInput: A parameter outside the network is trained: nobody would average its gradient.
        """
        module = self.lightning_module
        assert module is not None
        network = module.network
        assert isinstance(network, nn.Module)
        outside = [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and not name.startswith("network.")
        ]
        if outside:
            raise BadInput(f"trainer=fsdp cannot train {type(module).__name__} ({outside[0]}): use trainer=ddp")
        mesh = self.device_mesh["data_parallel"]
        for blocks in [part for part in network.modules() if isinstance(part, nn.ModuleList)]:
            for block in blocks:
                fully_shard(block, mesh=mesh)
        for part in _parts(network):
            fully_shard(part, mesh=mesh)
        parts = [part.to_local() for part in network.parameters() if isinstance(part, DTensor)]
        own, whole = sum(part.numel() for part in parts), sum(part.numel() for part in network.parameters())
        log.info("rank %d keeps %d of %d parameters", self.global_rank, own, whole)
        super().setup(trainer)


def _parts(network: nn.Module) -> list[nn.Module]:
    """The network, or those in it where it only holds them by name; what has no parameters is left as it is."""
    if isinstance(network, nn.ModuleDict):
        return [part for child in network.values() for part in _parts(child)]
    return [network] if any(True for _ in network.parameters()) else []
