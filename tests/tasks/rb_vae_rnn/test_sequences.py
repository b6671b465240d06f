import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
import torch
import yaml

from astro_lightning.core.build import build
from astro_lightning.core.conf import conf_folder
from astro_lightning.data.ragged import Ragged
from astro_lightning.data.records import Records, write_records
from astro_lightning.tasks.rb_vae_rnn.frames import FrameBatches, normalise, turn_at_random
from astro_lightning.tasks.rb_vae_rnn.module import BestThreshold, SequenceModule
from astro_lightning.tasks.rb_vae_rnn.pooling import pool, pooled_names
from astro_lightning.tasks.rb_vae_rnn.scaling import fit_knots, normal_scores
from astro_lightning.tasks.rb_vae_rnn.sequences import SequenceData, draw_frames
from astro_lightning.tasks.rb_vae_rnn.simulate import simulate, simulate_embeddings
from astro_lightning.tasks.rb_vae_rnn.vae import Vae, kl_per_dim, vae_loss


def test_pooled_statistics_are_finite_and_named_even_for_one_frame():
    for n in (1, 2, 50):
        mu, logvar = np.random.default_rng(n).normal(size=(2, n, 8))
        values = pool(mu, logvar)
        assert len(values) == len(pooled_names(8)) and np.isfinite(values).all()
    names = pooled_names(8)
    assert values[names.index("mu_mean_3")] == pytest.approx(mu[:, 3].mean(), rel=1e-5)
    assert values[names.index("logvar_percentiles_56")] == pytest.approx(np.percentile(logvar[:, 0], 90), rel=1e-5)
    assert values[names.index("correlation_7")] == pytest.approx(np.corrcoef(mu[:, 1], mu[:, 2])[0, 1], abs=1e-4)
    jump = np.sqrt((np.diff(mu, axis=0) ** 2).sum(1))
    assert values[names.index("jump_10")] == pytest.approx(
        np.sqrt((np.abs(np.diff(mu, axis=0)) ** 2).sum(1)).max(), rel=1e-5
    )
    assert values[names.index("jump_moments_0")] == pytest.approx(jump.mean(), rel=1e-5)
    rising = pool(mu + 10 * np.arange(50)[:, None], logvar)
    assert rising[names.index("half_difference_3")] > 200 and rising[names.index("trend_3")] > 50


def data_of(records: Records, **chosen) -> SequenceData:
    datamodule = SequenceData(
        data={"split": {"train": 0.6, "val": 0.2, "test": 0.2}, "split_seed": 0, "split_by": "group"},
        cache="/nowhere",
        **chosen,
    )
    datamodule.records = records
    datamodule.splits = datamodule.rows(records)
    return datamodule


def test_statistics_come_from_training_objects_alone(tmp_path):
    table = simulate_embeddings(60, 0)
    records = Records.open(write_records(iter([table]), tmp_path / "a"))
    datamodule = data_of(records, inputs=["mu", "logvar", "deviation", "step"], pooled=True)
    info = datamodule.info()
    batch = datamodule.dataset(records, info)[(np.array([3, 1]), 0)]
    assert batch["frames"].shape == (int(batch["offsets"][-1]), 32)
    assert batch["features"].shape == (2, info["n_features"]) and torch.isfinite(batch["features"]).all()
    mu = records.ragged["mu"].take(datamodule.splits["train"])[0].reshape(-1, 8)
    np.testing.assert_allclose(info["mu_mean"], mu.mean(0), rtol=1e-4, atol=1e-6)
    # The step of an object's first frame is not taken from the object before it.
    assert (batch["frames"][int(batch["offsets"][1]), 24:] == 0).all()


def test_objects_outside_of_training_change_no_scale():
    records = Records.from_table(simulate_embeddings(60, 0, n_frames=12))
    datamodule = data_of(records, inputs=["mu", "logvar"], pooled=True, lightcurves=True)
    train = datamodule.splits["train"]
    size = np.where(np.isin(np.arange(60), train), 1, 10).astype(np.float32)
    ragged = {
        name: Ragged(column.values * np.repeat(size, column.lengths), column.offsets)
        for name, column in records.ragged.items()
    }
    other = Records(records.flat, ragged, {"features": records.fixed["features"] * size[:, None]})
    info = datamodule.statistics(records, train)
    assert len(info["feature_knots"]) and info == datamodule.statistics(other, train)


@pytest.mark.parametrize("fold", [None, 0, 1, 2])
def test_what_the_experts_left_ambiguous_is_tested_but_never_trained_on(tmp_path, fold):
    table = simulate_embeddings(60, 0)
    tags = [["1-point"], ["1-point", "ghost"], ["star"], [], None, ["1-point"]] * 10
    label = [int(name == "artefact") for name in table["label"].to_pylist()]
    lists = {"oid": table["id"], "label": label, "tags": tags, "mu8": table["mu"], "logvar8": table["logvar"]}
    pq.write_table(pa.table(lists), tmp_path / "embeddings.parquet")
    block = yaml.safe_load((conf_folder() / "data" / "snad_embeddings.yaml").read_text())["reader"]
    reader = build(block | {"lightcurves": False}, memory_gib=1)
    records = Records.from_table(pa.concat_tables(reader.read(tmp_path, part="labelled")).combine_chunks())
    splits = data_of(records, inputs=["mu"], fold=fold, n_folds=3).splits
    ambiguous = np.arange(60) % 6 % 5 == 0
    assert len(splits["train"]) and not ambiguous[splits["train"]].any()
    assert ambiguous[splits["test"]].any() and (~ambiguous[splits["test"]]).any()
    left = np.setdiff1d(np.arange(60), np.concatenate(list(splits.values())))
    assert ambiguous[left].all()


def test_drawn_frames_keep_order_and_never_cross_objects():
    offsets = np.array([0, 3, 103, 110])
    frames = np.arange(110.0)[:, None]
    drawn, new = draw_frames(frames, offsets, 5, np.random.default_rng(0))
    assert np.diff(new).tolist() == [3, 5, 5]
    for (a, b), (low, high) in zip(itertools.pairwise(new), itertools.pairwise(offsets)):
        part = drawn[a:b, 0]
        assert (np.diff(part) > 0).all() and part.min() >= low and part.max() < high


def test_threshold_is_the_most_accurate_one():
    metric = BestThreshold()
    p = torch.tensor([0.9, 0.8, 0.42, 0.38, 0.1])
    metric.update(torch.stack([p, 1 - p], 1).log(), torch.tensor([0, 0, 0, 1, 1]))
    assert 0.38 <= float(metric.compute()) < 0.42


def test_threshold_leaves_one_half_only_for_more_than_noise():
    p = torch.tensor([0.9, 0.8, 0.7, 0.42, 0.38, 0.2, 0.1])
    for copies, moved in ((1, False), (20, True)):
        metric = BestThreshold()
        for _ in range(copies):
            metric.update(torch.stack([p, 1 - p], 1).log(), torch.tensor([0, 1, 0, 0, 1, 0, 1]))
        assert (float(metric.compute()) < 0.45) == moved


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.ones(1))

    def forward(self, batch):
        return torch.cat([self.slope * batch["features"], torch.zeros_like(batch["features"])], 1)


def test_threshold_of_a_fit_is_that_of_its_validation_objects():
    def batch(*probability):
        p = torch.tensor(probability)[:, None]
        return {"row": torch.arange(4), "features": (p / (1 - p)).log(), "target": torch.tensor([0, 0, 1, 1])}

    train, val = [batch(0.6, 0.62, 0.38, 0.4)], [batch(0.42, 0.6, 0.2, 0.36), batch(0.43, 0.41, 0.3, 0.36)] * 5
    module = SequenceModule(model={}, optimizer={"lr": 1e-3}, info={"classes": ["artefact", "other"]})
    module.network = Line()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, *(torch.utils.data.DataLoader(part, batch_size=None) for part in (train, val)))
    expected = BestThreshold()
    with torch.no_grad():
        for one in val:
            expected.update(module(one), one["target"])
    assert float(module.threshold) == float(expected.compute())
    assert 0.36 < float(module.threshold) < 0.42
    assert (module.columns(val[0])["threshold"] == module.threshold).all()


def test_normal_scores_are_ranks_and_the_median_stands_for_what_is_missing():
    rng = np.random.default_rng(0)
    features = np.stack([10 ** rng.normal(0, 5, 999), np.full(999, 3.0), np.repeat([0.0, 0, 1], 333)], 1)
    scores = normal_scores(features, fit_knots(features))
    assert np.argsort(scores[:, 0])[-1] == features[:, 0].argmax() and abs(scores[:, 0].std() - 1) < 0.05
    assert (np.abs(scores) <= 3).all() and abs(scores[:, 1]).max() == 0
    assert scores[0, 2] == pytest.approx(-0.43, abs=0.05)
    extreme = np.array([[np.nan] * 3, [1e99] * 3, [-1e99] * 3])
    assert normal_scores(extreme, fit_knots(features)).tolist() == [[0] * 3, [3] * 3, [-3] * 3]
    assert np.isfinite(fit_knots(np.full((4, 2), np.nan))).all()


def test_missing_pixels_are_masked_not_zeroed():
    frames = np.random.default_rng(0).normal(100, 5, (3, 28, 28)).astype(np.float32)
    frames[0, :, :5] = np.nan
    scaled, mask = normalise(frames)
    assert scaled[0, :, 5:].min() == 0 and scaled.max() == 1 and mask[0, :, :5].sum() == 0
    x, m = torch.from_numpy(scaled), torch.from_numpy(mask)
    z = torch.zeros(3, 4)
    wrong = x.clone()
    wrong[0, :, :5] += 7
    assert vae_loss(wrong, x, m, z, z, 0.0, 0.0)[0] == pytest.approx(0, abs=1e-6)


def test_what_turns_in_from_outside_is_masked():
    frames = torch.ones(20, 28, 28)
    turned, mask = turn_at_random(frames, torch.ones_like(frames), 45.0, np.random.default_rng(0))
    # Half way to a diagonal, the corners of a square lie outside of the turned one.
    assert (mask[:, 0, 0] == 0).any() and (mask[:, 10:18, 10:18] == 1).all()
    assert torch.equal(mask, (turned > 0.99).float())


def test_divergence_is_that_of_gaussians_and_free_nats_hold_it_up():
    mu, logvar = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert kl_per_dim(mu, logvar).tolist() == pytest.approx([0.5, 0])
    x = torch.zeros(1, 28, 28)
    assert vae_loss(x, x, x + 1, mu, logvar, 2.0, 0.3)[1] == pytest.approx(2 * (0.5 + 0.3))


def test_autoencoder_reduces_its_loss_on_the_twin():
    torch.manual_seed(0)
    records = Records.from_table(simulate(12, 0, n_frames=8))
    batch = FrameBatches(records, {"frames_per_object": 4, "rotation_deg": 20.0}, train=True)[(np.arange(12), 1)]
    vae = Vae(8)
    optimizer = torch.optim.Adam(vae.parameters(), 2e-3)
    losses = []
    for _ in range(15):
        reconstruction, mu, logvar = vae(batch["pixels"])
        loss = sum(vae_loss(reconstruction, batch["pixels"], batch["mask"], mu, logvar, 8e-5, 0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
