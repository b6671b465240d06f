import json
import shutil
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from command import TINY, astro_lightning, clean_environment, command, run_folder

from astro_lightning.data.alone import alone
from astro_lightning.tasks.rb_vae_rnn.simulate import simulate_embeddings


def metrics_of(run):
    metrics = json.loads((run / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if "/speed/" not in name}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_metrics_of_an_unbroken_one(tmp_path):
    words = (*TINY, "trainer.max_epochs=6", "model.dropout=0.2", "report=false")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    astro_lightning("task=plasticc_finetune", *words, folder=whole)

    process = subprocess.Popen(
        command("task=plasticc_finetune", *words, folder=broken),
        env=clean_environment(whole),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(3000):
        if list(broken.glob("outputs/*/*/checkpoints/finetune/last.ckpt")) or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = run_folder(broken, "plasticc_finetune")
    assert not (run / "metrics.json").exists(), "the run was too quick to be killed"

    last = run / "checkpoints" / "finetune" / "last.ckpt"
    content = last.read_bytes()
    last.write_bytes(content[:1000])
    cut = astro_lightning(f"resume={run}", folder=whole, expect=2)
    assert "without it stage finetune begins anew" in cut.stderr
    last.write_bytes(content)
    with alone(run / ".lock", run):
        for words in ((f"resume={run}",), ("task=plasticc_finetune", f"hydra.run.dir={run}")):
            assert "another process is writing" in astro_lightning(*words, folder=whole, expect=2).stderr
    assert not (run / "error.txt").exists()

    astro_lightning(f"resume={run}", folder=whole)
    assert metrics_of(run) == metrics_of(run_folder(whole, "plasticc_finetune"))

    again = astro_lightning(f"resume={run}", folder=whole)
    assert "finished" in again.stdout


def test_resume_of_what_is_no_run_is_one_line(tmp_path):
    finished = astro_lightning(f"resume={tmp_path}", folder=tmp_path, expect=2)
    assert finished.stderr.splitlines() == [f"error: {tmp_path} is not a run folder: config.yaml is missing"]


def test_resume_takes_where_files_lie_now_and_no_other_setting(tmp_path):
    table = simulate_embeddings(60, 0, n_frames=6)
    label = [int(name == "artefact") for name in table["label"].to_pylist()]
    columns = {"oid": table["id"], "label": label, "mu8": table["mu"], "logvar8": table["logvar"]}
    before, now, run = tmp_path / "before", tmp_path / "now", tmp_path / "run"
    words = ("task=rb_rnn", "data=snad_embeddings", "task.n_folds=2", "trainer=cpu", "callbacks=quiet", "report=false")
    begun = astro_lightning(*words, f"data.root={before}", f"hydra.run.dir={run}", folder=tmp_path, expect=2)
    assert str(before) in begun.stderr
    now.mkdir()
    pq.write_table(pa.table(columns), now / "embeddings.parquet")
    for word in ("trainer.max_epochs=3", "data.root="):
        refused = astro_lightning(f"resume={run}", f"data.root={now}", word, folder=tmp_path, expect=2)
        assert f"takes no other setting ({word})" in refused.stderr
    astro_lightning(f"data.root={now}", f"resume={run}", f"paths.cache={tmp_path / 'cache'}", folder=tmp_path)
    assert "test/fold_auc_mean" in metrics_of(run) and list((tmp_path / "cache").glob("records/snad_embeddings*"))
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert kept["data"]["root"] == str(now) and kept["paths"]["cache"] == str(tmp_path / "cache")

    # As if it had been stopped between its folds, and the file exchanged then.
    second = sorted(run.glob("checkpoints/*/done.json"))[1].parent
    shutil.rmtree(second)
    (run / "job.json").write_text(json.dumps(json.loads((run / "job.json").read_text()) | {"finished": False}))
    pq.write_table(pa.table(columns).slice(0, 50), now / "embeddings.parquet")
    refused = astro_lightning(f"resume={run}", folder=tmp_path, expect=2)
    assert "was trained on other objects than the data now hold" in refused.stderr and not second.exists()
    pq.write_table(pa.table(columns), now / "embeddings.parquet")
    astro_lightning(f"resume={run}", folder=tmp_path)
    assert (second / "done.json").exists()


def test_what_a_run_without_a_checkpoint_left_is_no_part_of_the_next_in_its_folder(tmp_path):
    run, numbers = tmp_path / "run", "6,15,16,42,52,53,62,64,65,67,88,90,92,95"
    for left in ("logs/pretrain/metrics.csv", "plots/old.png", "examples/old.parquet"):
        (run / left).parent.mkdir(parents=True)
        (run / left).write_text("epoch,step,val/loss\n0,1,7.0\n")
    (run / "config.yaml").write_text("seed: 1\n")
    words = (*TINY, "trainer.max_epochs=1", f"hydra.run.dir={run}", f"data.classes=[{numbers}]")  # numbers are names
    astro_lightning("task=plasticc_finetune", *words, folder=tmp_path)
    assert [path.name for path in (run / "logs").iterdir()] == ["finetune"] and not list(run.glob("**/old.*"))
    assert "test/accuracy" in metrics_of(run)


@pytest.mark.slow
def test_a_job_that_runs_at_last_is_no_failure_of_its_sweep(tmp_path):
    words = ("-m", "task=plasticc_finetune", *TINY, "trainer.max_epochs=1", "report=false", "seed=0,1")
    sweep = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    astro_lightning(*words, "data.split.test=0.9", sweep, folder=tmp_path, expect=2)
    assert (tmp_path / "sweep" / "1" / "error.txt").exists()
    astro_lightning(*words, sweep, folder=tmp_path)
    assert not list((tmp_path / "sweep").glob("*/error.txt"))
