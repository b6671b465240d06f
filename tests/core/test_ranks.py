import json
import re
import signal
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow as pa
import pytest
import torch
import torchmetrics
from command import TINY, astro_lightning, run_folder
from untrained import TASKS, settings

from astro_lightning.core import ranks
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.stages import make_datamodule, make_module, stages_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records

WORDS = ("task=plasticc_finetune", *TINY, "trainer.max_epochs=1", "report=false")


@pytest.mark.slow
def test_both_ranks_of_both_jobs_of_a_sweep_have_the_jobs_own_learning_rate(tmp_path):
    finished = astro_lightning(
        "-m",
        *WORDS,
        "trainer=ddp_cpu",
        "optimizer.lr=1e-3,3e-4",
        "hydra.sweep.dir=" + str(tmp_path / "sweep"),
        folder=tmp_path,
    )
    said = re.findall(r"rank (\d) of 2, learning rate (\S+)", finished.stdout + finished.stderr)
    assert sorted(said) == [("0", "0.0003"), ("0", "0.001"), ("1", "0.0003"), ("1", "0.001")]
    jobs = sorted(path.name for path in (tmp_path / "sweep").glob("*") if path.is_dir())
    assert jobs == ["0", "1"]
    assert all((tmp_path / "sweep" / job / "metrics.json").exists() for job in jobs)
    assert "best first" in finished.stdout
    table = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    rates = [next(word for word in job["overrides"] if word.startswith("optimizer.lr=")) for job in table]
    assert rates == ["optimizer.lr=0.001", "optimizer.lr=0.0003"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "trainer", [("trainer=ddp_cpu",), ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2")]
)
def test_torchrun_makes_one_run_folder_whose_checkpoint_loads_on_one_rank(tmp_path, trainer):
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    finished = astro_lightning(*WORDS, *trainer, folder=tmp_path, launcher=launcher)
    sharded = re.findall(r"rank (\d) keeps (\d+) of (\d+) parameters", finished.stdout + finished.stderr)
    assert len(sharded) == (2 if "fsdp" in trainer[0] else 0)
    assert all(int(own) < 0.6 * int(whole) for _, own, whole in sharded)
    assert {"0", "1"} == set(re.findall(r"rank (\d) of 2", finished.stdout + finished.stderr))
    run = run_folder(tmp_path, "plasticc_finetune")
    assert (run / "metrics.json").exists()
    # What two ranks trained is tested, and scores again, on one.
    again = tmp_path / "again"
    astro_lightning("mode=test", f"ckpt={run}", f"hydra.run.dir={again}", folder=tmp_path)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (run, again)]
    assert (
        metrics[0]["test/n"] == metrics[1]["test/n"] == 32
        and metrics[0]["test/log_loss"] == metrics[1]["test/log_loss"]
    )


@pytest.mark.slow
def test_networks_that_are_held_by_name_are_sharded_each(tmp_path):
    words = (
        "task=scope_table",
        "data.simulation.n_objects=60",
        "callbacks=quiet",
        "report=false",
        "trainer.max_epochs=1",
    )
    fsdp = ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2")
    finished = astro_lightning(*words, *fsdp, folder=tmp_path)
    kept = re.findall(r"keeps (\d+) of (\d+) parameters", finished.stdout + finished.stderr)
    assert len(kept) == 2 and all(int(own) < 0.6 * int(whole) for own, whole in kept)
    assert (run_folder(tmp_path, "scope_table") / "metrics.json").exists()


def test_no_gpu_is_said_in_one_line_that_names_the_remedy(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    finished = astro_lightning("trainer=gpu", folder=tmp_path, expect=2)
    assert len(finished.stderr.splitlines()) == 1
    assert "trainer=cpu" in finished.stderr


def ranks_run(code, folder, monkeypatch):
    """Every rank that is started runs this instead of the program."""
    module = folder / "site" / "astro_lightning"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    monkeypatch.chdir(folder)


def test_a_failed_rank_stops_the_others(tmp_path, monkeypatch):
    # Rank 1 fails at once; rank 0 would sleep for an hour.
    ranks_run(
        "import os, time, sys\nsys.exit(3) if os.environ['RANK'] == '1' else time.sleep(3600)\n", tmp_path, monkeypatch
    )
    start = time.monotonic()
    with pytest.raises(BadInput, match=r"rank [01] of 2 failed"):
        ranks.start_ranks(tmp_path, 2)
    assert time.monotonic() - start < 120


def test_a_stop_of_the_first_process_stops_its_ranks(tmp_path, monkeypatch):
    ranks_run(
        "import os, signal, time\n"
        "if os.environ['RANK'] == '1':\n    os.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(3600)\n",
        tmp_path, monkeypatch,
    )  # fmt: skip
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt):
            ranks.start_ranks(tmp_path, 2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not [child for child in psutil.Process().children() if f"resume={tmp_path}" in child.cmdline()]


class Numbers(RecordsData):
    @classmethod
    def dataset(cls, records, info, train=False):
        class Rows:
            def __getitem__(self, key):
                return {"row": key[0]}

        return Rows()


def test_a_value_of_all_ranks_holds_each_object_once(monkeypatch):
    row, value = torch.tensor([2, 0]), torch.tensor([[2.0], [0.0]])
    assert ranks.of_all_ranks(row, value) == (value,)
    other = {id(row): torch.tensor([1, 2]), id(value): torch.tensor([[1.0], [2.0]])}
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torchmetrics.utilities.distributed, "gather_all_tensors", lambda part: [part, other[id(part)]])
    assert ranks.of_all_ranks(row, value)[0].tolist() == [[0.0], [1.0], [2.0]]


def test_ranks_share_steps_but_each_gathers_all_objects(tmp_path):
    data = Numbers(data={}, cache=str(tmp_path), batch_size=4)
    data.records = Records.from_table(pa.table({"id": range(20)}))
    data.splits, data._info = {"train": np.arange(16), "test": np.arange(16, 20)}, {}
    data.trainer = SimpleNamespace(global_rank=1, world_size=2)
    rows = [
        [row for batch in loader for row in batch["row"]] for loader in (data.train_dataloader(), data.loader("train"))
    ]
    assert len(rows[0]) == 8 and rows[1] == list(range(16))
    assert [row for batch in data.loader("test") for row in batch["row"]] == [16, 17, 18, 19]


def test_a_rank_of_two_solves_the_kernel_for_all_training_objects(tmp_path):
    cfg = settings(tmp_path, *TASKS["frames"][:-1], "task.heads=[kernel]", "trainer=cpu")
    stage = stages_of(cfg)[0]
    data = make_datamodule(cfg, stage)
    module = make_module(cfg, stage, data.info())
    module.configure_model()
    data.trainer = SimpleNamespace(global_rank=1, world_size=2)
    module._trainer = SimpleNamespace(datamodule=data)
    module.on_fit_start()
    assert len(module.network.support) == len(data.splits["train"]) > 20


@pytest.mark.parametrize(
    ("trainer", "n", "strategy"),
    [
        ({"devices": 1, "strategy": "auto", "accelerator": "cpu"}, 1, "auto"),
        ({"devices": 2, "strategy": "auto", "accelerator": "cpu"}, 2, "ddp_find_unused_parameters_true"),
        ({"devices": "0,1", "strategy": "auto", "accelerator": "gpu"}, 2, "ddp_find_unused_parameters_true"),
        ({"devices": [0, 2, 3], "strategy": "fsdp", "accelerator": "gpu"}, 3, "fsdp"),
        ({"devices": "auto", "strategy": "auto", "accelerator": "cpu"}, 1, "auto"),
    ],
)
def test_several_devices_are_always_started_here(trainer, n, strategy):
    assert ranks.processes_wanted(trainer) == n
    assert trainer["strategy"] == strategy


def test_a_new_run_never_goes_on_with_another_in_silence(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 1\n")
    said = astro_lightning("trainer=cpu", f"hydra.run.dir={folder}", folder=tmp_path, expect=2).stderr
    assert f"resume={folder}" in said and (folder / "config.yaml").read_text() == "seed: 1\n"
