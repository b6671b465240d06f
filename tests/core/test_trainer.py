"""Which epoch a run keeps, when it ends, and which weights it keeps, by a network whose validation score is written down."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader

from astro_lightning.compose import plain
from astro_lightning.core.checkpoint import Identity, read_checkpoint
from astro_lightning.core.conf import conf_folder
from astro_lightning.core.trainer import make_trainer

STAGE = {"name": "only", "monitor": "val/score", "mode": "max"}


class Scripted(pl.LightningModule):
    """Its weight grows by 1 a step, its score in each epoch is given."""

    def __init__(self, scores):
        super().__init__()
        self.save_hyperparameters()
        self.scores, self.weights = scores, []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        self.weights.append(self.weight.item())
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/score", float(self.scores[self.current_epoch]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self):
        return DataLoader([{"row": torch.zeros(1)}] * 2, batch_size=None)

    val_dataloader = train_dataloader


def trained(folder, scores, *words, ckpt=None, **stage):
    """The module and trainer after one epoch for each score."""
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        words = ["callbacks=quiet", "trainer=cpu", f"trainer.max_epochs={len(scores)}", "+run=x", *words]
        cfg = plain(compose("config", words))
    identity = Identity({"task": "x"}, np.zeros(1, np.uint64))
    module, trainer = Scripted(scores), make_trainer(cfg, STAGE | stage, folder, [identity])
    trainer.fit(module, ckpt_path=ckpt)
    return module, trainer


def test_the_choice_of_a_device_leaves_one_without_float64_out(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    _, trainer = trained(tmp_path, [1], "trainer=auto")
    assert isinstance(trainer.accelerator, pl.accelerators.CPUAccelerator)


def kept(folder, name="best"):
    return read_checkpoint(folder / "checkpoints" / "only" / f"{name}.ckpt")


@pytest.mark.parametrize(("mode", "epoch"), [("max", 1), ("min", 2)])
def test_the_best_epoch_by_the_stages_own_mode_is_kept_and_the_last_beside_it(tmp_path, mode, epoch):
    trained(tmp_path, [2, 3, 1, 2], mode=mode)
    assert kept(tmp_path)["epoch"] == epoch
    assert kept(tmp_path, "last")["epoch"] == 3


@pytest.mark.parametrize(("mode", "scores"), [("max", [1, 3, 2, 0, 1, 9]), ("min", [3, 1, 2, 4, 3, 0])])
def test_training_ends_after_as_many_epochs_without_a_better_score_as_patience_says(tmp_path, mode, scores):
    word = "callbacks.early_stopping.patience"
    for words, patience, epochs in (((), 3, 5), ((f"{word}=3",), 1, 5), ((f"{word}=0",), 3, 6), ((), None, 6)):
        folder = tmp_path / f"{words} {patience}"
        _, trainer = trained(folder, scores, *words, mode=mode, trainer={"patience": patience})
        assert trainer.current_epoch == epochs


@pytest.mark.parametrize("stage", [{"trainer": {"ema_decay": 0.25}}, {}])
def test_the_running_mean_of_the_weights_is_kept_for_scoring_and_a_resumed_run_goes_on_from_it(tmp_path, stage):
    words = () if stage else ("callbacks.ema.decay=0.25",)
    module, _ = trained(tmp_path, [1, 2], *words, **stage)
    assert module.weights == [0, 1, 2, 3]  # the mean steers no step
    mean = 0.25 * (0.25 * (0.25 * 1 + 0.75 * 2) + 0.75 * 3) + 0.75 * 4  # the decay is the share of what was before
    assert kept(tmp_path)["state_dict"]["weight"] == module.weight == mean
    resumed, _ = trained(tmp_path, [1, 2, 3], *words, ckpt=tmp_path / "checkpoints/only/last.ckpt", **stage)
    assert resumed.weights == [4, 5]
    assert kept(tmp_path)["state_dict"]["weight"] == 0.25 * (0.25 * mean + 0.75 * 5) + 0.75 * 6


def test_a_run_folder_that_is_moved_and_resumed_keeps_its_best_epoch_until_a_better_one_comes(tmp_path):
    before, after = tmp_path / "run", tmp_path / "elsewhere"
    trained(before, [3, 1])
    before.rename(after)
    last = after / "checkpoints/only/last.ckpt"
    _, trainer = trained(after, [3, 1, 2], ckpt=last)
    assert kept(after)["epoch"] == 0 and kept(after, "last")["epoch"] == 2
    assert trainer.checkpoint_callback.best_model_path == str(last.with_name("best.ckpt"))
    trained(after, [3, 1, 2, 4], ckpt=last)
    assert kept(after)["epoch"] == 3
    assert not before.exists()
