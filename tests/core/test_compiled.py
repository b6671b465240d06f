"""A compiled run leaves what any run leaves."""

import shutil

import pytest
import torch
from command import astro_lightning, run_folder
from untrained import TASKS, settings

from astro_lightning.core.checkpoint import predicting_checkpoints, read_checkpoint
from astro_lightning.core.compiled import check_compiler, compile_networks
from astro_lightning.core.stages import make_datamodule, make_module, stages_of
from astro_lightning.data.errors import BadInput

SMALL = (
    "task=scope",
    "trainer=cpu",
    "callbacks=quiet",
    "data.simulation.n_objects=80",
    "trainer.max_epochs=1",
    "report=false",
)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler here")
def test_checkpoints_are_the_same_with_and_without(tmp_path):
    keys = []
    for compiled in ("null", "true"):
        folder = tmp_path / compiled
        astro_lightning(*SMALL, f"trainer.compile={compiled}", folder=folder)
        (file,) = predicting_checkpoints(run_folder(folder, "scope"))
        keys.append(list(read_checkpoint(file)["state_dict"]))
    assert keys[0] == keys[1] and keys[0]


PRETRAIN = ("task=plasticc_pretrain", *TASKS["plasticc"][1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [PRETRAIN, TASKS["spectra"], TASKS["frames"]], ids=["pretraining", "spectra", "frames"]
)
def test_a_network_and_its_loss_are_compiled_in_one_piece(words, tmp_path):
    """A shape that follows from values, as of what a mask chooses, would break it, and keep a GPU waiting."""
    cfg = settings(tmp_path, *words, "trainer=cpu")
    (stage,) = stages_of(cfg)
    datamodule = make_datamodule(cfg, stage)
    module = make_module(cfg, stage, datamodule.info())
    module.configure_model()
    found = torch._dynamo.explain(module.network)(next(iter(datamodule.loader("train"))))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


def test_networks_held_by_name_are_compiled_and_what_learns_nothing_is_not(tmp_path):
    cfg = settings(tmp_path, *TASKS["scope"], "trainer=cpu")
    stage = stages_of(cfg)[-1]
    module = make_module(cfg, stage, make_datamodule(cfg, stage).info())
    module.configure_model()
    compile_networks(module)
    parts = module.network["classifier"]
    assert parts["network"]._compiled_call_impl is not None
    assert parts["preparation"]._compiled_call_impl is None


def test_a_processor_without_a_compiler_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInput, match=r"trainer\.compile=true needs a C"):
        check_compiler("cpu")
