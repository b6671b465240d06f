"""A stage that is taken up again."""

import copy
import os
import signal

import pytest
from hydra import compose, initialize_config_dir

from astro_lightning.compose import plain
from astro_lightning.core.checkpoint import read_checkpoint
from astro_lightning.core.conf import conf_folder
from astro_lightning.core.stages import run_stage, stages_of
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.data import CurveBatches

WORDS = (
    "task=plasticc_finetune", "model.d_model=16", "model.n_heads=2", "model.n_layers=1", "task.tokenizer.max_length=40",
    "data.simulation.n_objects=60", "callbacks=quiet", "trainer=cpu", "+run=x",
)  # fmt: skip


@pytest.fixture
def composed(tmp_path):
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        return plain(compose("config", [*WORDS, f"paths.cache={tmp_path}"]))


def test_a_loader_process_that_is_killed_is_one_line(tmp_path, composed, monkeypatch):
    monkeypatch.setattr(CurveBatches, "__getitem__", lambda batches, key: os.kill(os.getpid(), signal.SIGBUS))
    with pytest.raises(BadInput, match=r"stage finetune: DataLoader worker .*workers=1, or start a run with fewer"):
        run_stage({**composed, "workers": 1}, stages_of(composed)[-1], tmp_path / "run", {})


def test_a_stage_goes_on_with_the_objects_it_began_with_and_with_no_others(tmp_path, composed):
    def run(epochs, split_seed):
        cfg = copy.deepcopy(composed)
        cfg["trainer"]["max_epochs"], cfg["data"]["split_seed"] = epochs, split_seed
        (checkpoints / "done.json").unlink(missing_ok=True)
        run_stage(cfg, stages_of(cfg)[-1], tmp_path / "run", {})

    checkpoints = tmp_path / "run" / "checkpoints" / "finetune"
    last = checkpoints / "last.ckpt"
    run(1, split_seed=0)
    kept = last.read_bytes()
    with pytest.raises(BadInput, match="was trained on other objects") as caught:
        run(2, split_seed=1)
    assert str(last) in str(caught.value) and "\n" not in str(caught.value)
    assert last.read_bytes() == kept
    run(2, split_seed=0)
    assert read_checkpoint(last)["epoch"] == 1


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"optimizer": {"learning_rate": 3}}, "learning_rate"),
        ({"trainer": {"max_epoch": 3}}, r"task\.stages\.last\.trainer\.max_epoch"),
        ({"mode": "maximize"}, r"task\.stages\.last\.mode=maximize: give min or max"),
    ],
)
def test_a_misspelt_setting_of_a_late_stage_is_said_before_the_first_one_trains(last, said):
    with pytest.raises(BadInput, match=said):
        stages_of({"task": {"stages": {"first": {"trainer": {"ema_decay": 0.9, "compile": True}}, "last": last}}})
    with pytest.raises(BadInput, match="all of them are null"):
        stages_of({"task": {"stages": {"first": None}}})
