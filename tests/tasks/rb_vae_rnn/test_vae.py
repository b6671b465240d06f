"""What an autoencoder is trained on, and how its divergence is weighed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader

from astro_lightning.compose import plain
from astro_lightning.core.conf import conf_folder
from astro_lightning.core.loader import BatchSampler, make_loader
from astro_lightning.core.stages import make_datamodule, stages_of
from astro_lightning.data.records import Records
from astro_lightning.data.surveys.snad_embeddings import SnadEmbeddings
from astro_lightning.tasks.rb_vae_rnn.frames import FrameBatches, normalise, take_frames
from astro_lightning.tasks.rb_vae_rnn.simulate import simulate
from astro_lightning.tasks.rb_vae_rnn.vae_module import VaeModule, embedded


@pytest.mark.parametrize("sees_all", [False, True])
def test_frames_of_the_test_fold_reach_the_autoencoder_only_where_it_sees_all(tmp_path, sees_all):
    words = ("task=rb_vae_rnn", "data.simulation.n_objects=60", "+data.simulation.n_frames=4", "task.folds=[1]")
    words += ("task.n_folds=3", "task.vae.batch_size=1", f"paths.cache={tmp_path}", "+run=x")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = plain(compose("config", [*words, f"task.vae.datamodule.sees_all={str(sees_all).lower()}"]))
    vae, head = stages_of(cfg)
    assert (vae["name"], head["takes"]["module.encoder"]) == ("vae_fold1", "vae_fold1/checkpoint")
    datamodule = make_datamodule(cfg, vae)
    drawn = {row for batch in datamodule.train_dataloader() for row in batch["row"].tolist()}
    tested = set(datamodule.splits["test"].tolist())
    assert len(tested) == 20
    assert tested <= drawn if sees_all else not tested & drawn
    assert not drawn & set(datamodule.splits["val"].tolist())


class Weighed(pl.Callback):
    """The weighted divergence of each epoch."""

    def __init__(self):
        self.values = []

    def on_train_epoch_end(self, trainer, module):
        loss, error = (trainer.callback_metrics[f"train/{name}"] for name in ("loss", "reconstruction"))
        self.values.append(float(loss - error))


def weighted_divergence(warmup_epochs):
    records = Records.from_table(simulate(4, 0, n_frames=8))
    batch = FrameBatches(records, {"frames_per_object": 4, "rotation_deg": 0.0}, train=True)[(np.arange(4), 1)]
    pl.seed_everything(0, verbose=False)
    # The network stands still: what changes from epoch to epoch is the weight alone.
    still = {"name": "adam", "lr": 1e-12}
    module = VaeModule(model={"latent_dims": 4}, optimizer=still, info={}, beta=10.0, warmup_epochs=warmup_epochs)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
    }
    weighed = Weighed()
    pl.Trainer(max_epochs=5, accelerator="cpu", callbacks=[weighed], **quiet).fit(
        module, DataLoader([batch], batch_size=None)
    )
    return np.array(weighed.values)


def test_weight_of_the_divergence_rises_through_the_warm_up():
    shares = weighted_divergence(3) / weighted_divergence(0)
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3, 1, 1, 1], rtol=1e-3)


def test_embeddings_are_read_back_as_the_objects_and_frames_they_are_of(tmp_path):
    records = Records.from_table(simulate(10, 0, n_frames=5))
    module = VaeModule(model={"latent_dims": 4}, optimizer={}, info={})
    module.configure_model()
    data = FrameBatches(records, {})
    tables = list(embedded(module.eval(), make_loader(data, BatchSampler(np.arange(10), 3)), records))
    pq.write_table(pa.concat_tables(tables), tmp_path / "embeddings.parquet")
    (read,) = SnadEmbeddings(latent_dims=4, lightcurves=False).read(tmp_path / "embeddings.parquet")
    assert read["id"].to_pylist() == records.ids.tolist()
    assert read["label"].to_pylist() == list(records.labels) and len(set(records.labels)) == 2
    frames, _ = take_frames(records, np.array([7]))
    with torch.no_grad():
        mu, logvar = module.network.encode(torch.from_numpy(normalise(frames)[0]))
    np.testing.assert_allclose(np.reshape(read["mu"][7].as_py(), (-1, 4)), mu, atol=1e-5)
    np.testing.assert_allclose(np.reshape(read["logvar"][7].as_py(), (-1, 4)), logvar, atol=1e-5)
