import json
import re
import sys

import pytest
from command import TINY, astro_lightning, run_folder

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
    assert [job["overrides"][-1] for job in table] == ["optimizer.lr=0.001", "optimizer.lr=0.0003"]


@pytest.mark.slow
def test_torchrun_makes_one_run_folder(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    finished = astro_lightning(*WORDS, "trainer=ddp_cpu", folder=tmp_path, launcher=launcher)
    assert {"0", "1"} == set(re.findall(r"rank (\d) of 2", finished.stdout + finished.stderr))
    run = run_folder(tmp_path, "plasticc_finetune")
    assert (run / "metrics.json").exists()
    # Two ranks see the epoch's objects once between them: a checkpoint of two ranks scores on one.
    out = tmp_path / "again.parquet"
    astro_lightning("mode=test", f"ckpt={run}", *WORDS, f"out={out}", folder=tmp_path)


def test_no_gpu_is_said_in_one_line_that_names_the_remedy(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    finished = astro_lightning("trainer=gpu", folder=tmp_path, expect=2)
    assert len(finished.stderr.splitlines()) == 1
    assert "trainer=cpu" in finished.stderr


def test_a_failed_rank_stops_the_others(tmp_path):
    from astro_lightning.core import ranks
    from astro_lightning.data.errors import BadInput

    assert sys.executable
    with pytest.raises(BadInput, match="rank 0 of 2 failed"):
        ranks.start_ranks(tmp_path / "absent", 2)
