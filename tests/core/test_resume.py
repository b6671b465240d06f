import json
import signal
import subprocess
import time

import pytest
from command import TINY, astro_lightning, clean_environment, command, run_folder

from astro_lightning.data.alone import alone


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


def test_resume_takes_no_other_setting(tmp_path):
    finished = astro_lightning(f"resume={tmp_path}", "trainer.max_epochs=3", folder=tmp_path, expect=2)
    assert "takes no other setting" in finished.stderr
