"""Several processes for one run: each is started afresh on the run folder, so that all share one configuration.

Stock launchers start the other ranks from the command line of the first, which under a Hydra sweep holds all values of the
sweep instead of this job's. Here the first process only waits; every rank, its own included, reads the run folder.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from astro_lightning.data.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

RANK_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


def own_rank() -> int:
    """Number of this process among those of its launch; 0 where it is alone."""
    return int(next((os.environ[key] for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if key in os.environ), 0))


def devices_wanted(trainer: dict[str, Any]) -> int:
    """How many devices of this machine a run uses; `auto` and -1 are all GPUs there are."""
    import torch

    devices = trainer["devices"]
    if isinstance(devices, str) and "," in devices:
        devices = trainer["devices"] = [int(number) for number in devices.split(",")]
    n = len(devices) if isinstance(devices, list) else devices
    if n in ("auto", -1, "-1"):
        n = max(1, torch.cuda.device_count()) if trainer["accelerator"] != "cpu" else 1
    if not str(n).isdecimal() or int(n) < 1:
        raise BadInput(f"trainer.devices={devices}: give how many (1, 2, ...), auto, or a list of device numbers")
    return int(n)


def processes_wanted(trainer: dict[str, Any]) -> int:
    """How many ranks this process must start; 1 where it is a rank itself (torchrun, srun) or one device is used.

    Several devices without a strategy get one here: the Trainer's own choice would start the ranks behind our back.

    Raises:
        BadInput: srun started another number of tasks than the configuration has nodes times devices, or nobody started any on
            other nodes.
    """
    n = devices_wanted(trainer)
    if n > 1 and trainer["strategy"] == "auto":
        trainer["strategy"] = "ddp_find_unused_parameters_true"
    nodes = int(trainer.get("num_nodes", 1))
    if nodes > 1 and not {"LOCAL_RANK", "SLURM_PROCID"} & os.environ.keys():
        raise BadInput(f"trainer.num_nodes={nodes}: only srun and torchrun start ranks on several machines; use one")
    if "SLURM_PROCID" not in os.environ:  # in an allocation, but not by srun: the Trainer would take it for srun's
        os.environ.pop("SLURM_NTASKS", None)
    tasks = int(os.environ.get("SLURM_NTASKS", n * nodes))
    if "SLURM_PROCID" in os.environ and tasks != n * nodes:
        raise BadInput(
            f"SLURM started {tasks} tasks, trainer.num_nodes={nodes} times trainer.devices={n} are {n * nodes}: "
            "give sbatch --nodes and --ntasks-per-node the same numbers"
        )
    return 1 if "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ else n


def of_all_ranks(row: "Tensor", *values: "Tensor") -> tuple["Tensor", ...]:
    """What each rank has of its objects, of all of them: once each, though ranks repeat some to step equally often.

    Args:
        row: Row numbers of the objects, (n,).
        values: Any number of (n, ...).
    """
    import torch
    from torchmetrics.utilities.distributed import gather_all_tensors

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return values
    row, *gathered = (torch.cat(gather_all_tensors(part)) for part in (row, *values))
    first = torch.from_numpy(np.unique(row.cpu().numpy(), return_index=True)[1]).to(row.device)
    return tuple(part[first] for part in gathered)


def start_ranks(folder: Path, n: int) -> None:
    """Run `n` ranks over a prepared run folder and wait; if one fails the others are stopped.

    Raises:
        BadInput: A rank failed; its own message is above.
    """
    base = {key: value for key, value in os.environ.items() if key not in RANK_VARIABLES}
    base |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(find_free_network_port()),
        "WORLD_SIZE": str(n),
        "NODE_RANK": "0",
    }
    command = [sys.executable, "-m", "astro_lightning", f"resume={folder}"]
    if (
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):  # it would end this process alone, and leave the ranks at work
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    ranks = [subprocess.Popen(command, env=base | {"LOCAL_RANK": str(rank), "RANK": str(rank)}) for rank in range(n)]
    try:
        while any(rank.poll() is None for rank in ranks):
            if any(rank.poll() not in (None, 0) for rank in ranks):
                break
            time.sleep(0.05)
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(signal.SIGTERM)
        for rank in ranks:
            try:
                rank.wait(15)
            except subprocess.TimeoutExpired:  # it sits in a collective call that the dead rank will never join
                rank.kill()
    failed = [i for i, rank in enumerate(ranks) if rank.wait() != 0]
    if failed:
        raise BadInput(f"rank {failed[0]} of {n} failed (its message is above); go on with resume={folder}")
