"""Every task's training, calibration, test and vectors where a device is not the processor, and in bfloat16."""

import pytest
import torch
from elsewhere import DEVICE, elsewhere
from untrained import TASKS, settings

from astro_lightning.data.errors import BadInput
from astro_lightning.predict.modes import test_run as run_test
from astro_lightning.run import train

SMALL = ("model.d_model=16", "model.n_heads=2", "model.n_layers=1", "data.simulation.n_objects=60")
SHORT = ("callbacks=quiet", "trainer.max_epochs=1")
CALIBRATED = "data.split={train: 0.5, val: 0.1, calibration: 0.3, test: 0.1}"
RUNS = {
    "plasticc": ("task=plasticc", *SMALL, CALIBRATED, "task.stages.finetune.module.novelty=student",
                 "task.calibrator.scores=[novelty,mahalanobis,knn]"),
    "plasticc, seed tokens": (
        "task=plasticc", "model=plasticc_bert", "task.tokenizer.kind=seed", "data.simulation.n_objects=20", "model.d_model=16",
        "model.n_heads=2", "model.head_dim=8", "model.n_layers=1",
    ),
    "trees": TASKS["trees"],
    "spectra": TASKS["spectra"],
    "spectra_xgb": ("task=spectra_xgb", "data.simulation.n_objects=60", "model.n_components=8"),
    "stamps": TASKS["stamps"],
    "frames": (*TASKS["frames"], "task.heads=[attention,kernel]"),
    "frames from pixels": ("task=rb_vae_rnn", "data.simulation.n_objects=60", "+data.simulation.n_frames=4", "task.folds=[1]"),
    "scope": TASKS["scope"],
    "scope_xgb": ("task=scope_xgb", "data.simulation.n_objects=60"),
    "forest": (
        "experiment=scope_asas", "data=simulated", "data.simulation.n_objects=30", "task.folds=2",
        "task.stages.forest.model.n_trees=20",
    ),
    "scope_table": ("task=scope_table", "data.simulation.n_objects=60"),
}  # fmt: skip


def test_the_disguise_tells_the_devices_apart():
    near = torch.arange(3.0)
    with elsewhere():
        far = near.to(DEVICE).requires_grad_()
        (far * 2 + 1)[torch.tensor([0, 2])].sum().backward()
        assert far.grad.device == DEVICE and far.grad.cpu().tolist() == [2, 0, 2] and near.device.type == "cpu"
        for mixed in (lambda: far + near, lambda: near[far.detach().long()], lambda: torch.cat([far, near])):
            with pytest.raises(RuntimeError, match="of the processor meets one of the device"):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            far.detach().numpy()


@pytest.mark.parametrize("name", RUNS)
def test_on_a_device_of_its_own(name, tmp_path):
    cfg = settings(tmp_path, *SHORT, *RUNS[name], "trainer.accelerator=elsewhere")
    with elsewhere():
        train(cfg, tmp_path / "run")
        metrics, _ = run_test(cfg, tmp_path / "run", tmp_path / "run")
    assert metrics


def test_a_device_without_float64_is_one_line_where_that_is_needed(tmp_path):
    cfg = settings(tmp_path, *SHORT, *RUNS["scope_table"], "trainer.accelerator=elsewhere")
    with elsewhere(torch.float64), pytest.raises(BadInput, match=r"classify needs float64.*trainer=cpu"):
        train(cfg, tmp_path / "run")


@pytest.mark.parametrize("name", [name for name in RUNS if name != "forest"])  # fitted models never have it
def test_in_bfloat16(name, tmp_path):
    cfg = settings(tmp_path, *SHORT, *RUNS[name], "trainer=cpu", "trainer.precision=bf16-mixed")
    train(cfg, tmp_path / "run")
    metrics, _ = run_test(cfg, tmp_path / "run", tmp_path / "run")
    assert metrics
