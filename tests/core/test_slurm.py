"""trainer=slurm and the submitit launcher on a SLURM of two shell scripts: the batch script, and ranks that srun starts."""

import json
import os
import re
import sys

import pytest
from command import TINY, astro_lightning

from astro_lightning import compose
from astro_lightning.core.ranks import processes_wanted
from astro_lightning.data.errors import BadInput

SBATCH = """#!/bin/sh
cp "$1" {folder}/batch.sh
SLURM_JOB_ID=7 SLURM_JOBID=7 SLURM_NTASKS=2 SLURM_NTASKS_PER_NODE=2 SLURM_NNODES=1 SLURM_JOB_NUM_NODES=1 \\
SLURM_JOB_NODELIST=localhost SLURM_NODELIST=localhost SLURM_JOB_NAME=run MASTER_ADDR=127.0.0.1 SLURM_NODEID=0 \\
setsid sh "$1" > {folder}/slurm.log 2>&1 < /dev/null &
echo "Submitted batch job 7"
"""
# Options stand before the interpreter.
SRUN = """#!/bin/sh
while [ "${1##*/python*}" ]; do shift; done
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" &
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" &
wait
"""


@pytest.mark.slow
def test_a_sweep_through_submitit_asks_slurm_for_its_ranks_and_they_train_together(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {"sbatch": SBATCH.replace("{folder}", str(tmp_path)), "srun": SRUN, "scancel": "#!/bin/sh\n"}
    scripts["sacct"] = "#!/bin/sh\necho 'JobID|State|NodeList'\necho '7_0|RUNNING|localhost'\n"
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    finished = astro_lightning(
        "-m", "task=plasticc_finetune", *TINY[:-3], "trainer=slurm", "trainer.accelerator=cpu", "trainer.max_epochs=1", TINY[-1],
        "report=false", "hydra/launcher=submitit_slurm", "hydra.launcher.tasks_per_node=2", "hydra.launcher.nodes=1",
        "hydra.launcher.partition=night", "hydra.launcher.timeout_min=30", f"hydra.sweep.dir={tmp_path / 's'}",
        folder=tmp_path, PATH=f"{programs}:{os.environ['PATH']}", expect=None,
    )  # fmt: skip
    log = "\n".join(path.read_text() for path in (tmp_path / "s" / ".submitit").rglob("*_log.*"))
    assert finished.returncode == 0, finished.stderr[-2000:] + log[-3000:]
    batch = (tmp_path / "batch.sh").read_text()
    asked = dict(re.findall(r"#SBATCH --([\w-]+)=(\S+)", batch))
    assert asked["nodes"] == "1" and asked["ntasks-per-node"] == "2" and asked["partition"] == "night"
    assert asked["time"] == "30" and "srun" in batch and sys.executable in batch
    assert {"0", "1"} == set(re.findall(r"rank (\d) of 2", (tmp_path / "slurm.log").read_text()))
    metrics = json.loads((tmp_path / "s" / "0" / "metrics.json").read_text())
    assert metrics["test/n"] == 32


def test_ranks_that_slurm_did_not_start_as_configured_are_refused(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    trainer = {"devices": 2, "num_nodes": 2, "strategy": "auto", "accelerator": "cpu"}
    assert processes_wanted(trainer) == 1
    with pytest.raises(BadInput, match="SLURM started 4 tasks"):
        processes_wanted(trainer | {"num_nodes": 1})


def test_an_allocation_without_srun_is_no_launch_by_srun(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    trainer = {"devices": 2, "num_nodes": 1, "strategy": "auto", "accelerator": "cpu"}
    assert processes_wanted(trainer) == 2
    assert "SLURM_NTASKS" not in os.environ  # from which the Trainer concludes that srun started it
    with pytest.raises(BadInput, match=r"trainer\.num_nodes=2: only srun and torchrun"):
        processes_wanted(trainer | {"num_nodes": 2})


def test_commands_of_one_allocation_have_names_of_their_own_and_ranks_of_one_run_a_common_one(monkeypatch):
    for key, value in (("SLURM_JOB_ID", "7"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_ID", "2")):
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    assert compose._new_name() == "slurm-7-2"
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert str(os.getpid()) in compose._new_name()
