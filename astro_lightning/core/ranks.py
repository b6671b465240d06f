"""Several processes for one run: each is started afresh on the run folder, so that all share one configuration.

Stock launchers start the other ranks from the command line of the first, which under a Hydra sweep holds all values of the
sweep instead of this job's. Here the first process only waits; every rank, its own included, reads the run folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments.lightning import find_free_network_port

from astro_lightning.data.errors import BadInput

RANK_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


def processes_wanted(trainer: Mapping[str, Any]) -> int:
    """How many ranks this process must start; 1 where it is a rank itself (torchrun, srun) or one device is used."""
    if "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ or trainer["strategy"] == "auto":
        return 1
    devices = trainer["devices"]
    if devices == "auto":
        import torch

        devices = max(1, torch.cuda.device_count())
    return len(devices) if isinstance(devices, list) else int(devices)


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
    failed = [i for i, rank in enumerate(ranks) if rank.wait() != 0]
    if failed:
        raise BadInput(f"rank {failed[0]} of {n} failed (its message is above); go on with resume={folder}")
