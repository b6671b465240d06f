import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import xgboost as xgb
from command import TINY, astro_lightning, run_folder
from torch import nn
from untrained import TASKS, untrained

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.methods.boosted_trees import BoostedTrees
from astro_lightning.predict.modes import embedded_objects
from astro_lightning.predict.neighbours import nearest
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.spectra.simulate import simulate as spectra
from astro_lightning.verbs.neighbours import main as neighbours


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed")
    astro_lightning("task=plasticc", *TINY, "trainer.max_epochs=1", "report=false", folder=folder)
    return run_folder(folder)


@pytest.mark.slow
@pytest.mark.parametrize("ckpt", ["", "checkpoints/pretrain/best.ckpt"])
def test_the_runs_data_are_embedded(run, tmp_path, ckpt):
    out = tmp_path / "vectors.parquet"
    done = astro_lightning(
        "task=plasticc", *TINY, "mode=embed", f"ckpt={run / ckpt}", f"out={out}", folder=run.parents[2]
    )
    table = pq.read_table(out)
    assert f"{len(table)} objects embedded: {out}" in done.stdout
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert len(set(table["id"].to_pylist())) == len(table) >= 100
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 16)
    assert np.isfinite(vectors).all()
    assert vectors.std(axis=0).min() > 0
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.parquet"]


@pytest.mark.slow
def test_an_embedding_does_not_depend_on_the_batch_nor_on_masks(run):
    records = Records.from_table(simulate(n_objects=12, seed=2))
    for checkpoint in (run, run / "checkpoints" / "pretrain" / "best.ckpt"):
        whole = Scorer(checkpoint).embed(records)
        one_by_one = Scorer(checkpoint, batch_size=1).embed(records)
        assert whole["id"].to_pylist() == one_by_one["id"].to_pylist()
        a, b = (np.array(found["embedding"].to_pylist()) for found in (whole, one_by_one))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_file_is_embedded_in_its_own_order(run, tmp_path):
    table = simulate(n_objects=6, seed=4)
    names = {"mjd": "mjd", "band": "passband", "flux": "flux", "flux_err": "flux_err", "detected": "detected"}
    curves = {new: np.concatenate(table[old].to_numpy()).astype(float) for old, new in names.items()}
    owner = np.repeat(table["id"].to_numpy(), [len(row) for row in table["mjd"]])
    survey = tmp_path / "survey"
    survey.mkdir()
    pd.DataFrame({"object_id": owner, **curves}).astype({"passband": int, "detected": int}).to_csv(
        survey / "training_set.csv", index=False
    )
    unused = dict.fromkeys(
        ("ra", "decl", "ddf", "hostgal_specz", "hostgal_photoz", "hostgal_photoz_err", "mwebv", "target"), 0
    )
    meta = pd.DataFrame({"object_id": table["id"].to_numpy()[::-1], **unused})
    meta.to_csv(survey / "training_set_metadata.csv", index=False)
    out = tmp_path / "vectors.parquet"
    astro_lightning("mode=embed", f"ckpt={run}", f"data.path={survey}", f"out={out}", folder=run.parents[2])
    assert pq.read_table(out)["id"].to_pylist() == meta["object_id"].tolist()


@pytest.mark.slow
def test_a_checkpoint_away_from_its_run_and_of_another_stage_is_one_line(run, tmp_path):
    away = shutil.copy(run / "checkpoints/pretrain/best.ckpt", tmp_path / "a.ckpt")
    words = ("task=plasticc_finetune", *TINY, "mode=embed", f"ckpt={away}")
    finished = astro_lightning(*words, folder=run.parents[2], expect=2)
    assert "lies in no run folder" in finished.stderr
    finished = astro_lightning(*words, "data=simulated", folder=run.parents[2], expect=2)
    assert "of stage pretrain, which task=plasticc_finetune has not" in finished.stderr
    assert restore(run / "checkpoints" / "pretrain" / "best.ckpt").identity["stage"] == "pretrain"


def module_of(network: nn.Module) -> TaskModule:
    module = TaskModule(model={}, optimizer={}, info={"classes": ["a", "b"], "counts": [1, 1]})
    module.network = network
    return module


class Plain(nn.Module):
    """Its output layer is registered first and read last."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.first = nn.Linear(3, 2), nn.Linear(5, 3)

    def forward(self, batch):
        return self.out(self.first(batch["x"]))


def test_embedded_objects_keep_their_names_and_labels(tmp_path):
    scorer, records = Scorer(untrained(tmp_path, *TASKS["spectra"])), Records.from_table(spectra(12, 0))
    whole, rows = embedded_objects(scorer, records), np.array([7, 2, 10])
    some = embedded_objects(scorer, records, rows)
    assert some["id"].to_pylist() == records.ids[rows].tolist()
    assert some["label"].to_pylist() == records.labels[rows].tolist() == whole["label"].take(rows).to_pylist()
    assert some["label"].to_pylist() != whole["label"].to_pylist()[:3]
    a, b = (np.array(table["embedding"].to_pylist()) for table in (some, whole))
    np.testing.assert_allclose(a, b[rows], rtol=1e-4, atol=1e-5)


def test_labels_of_a_piece_are_not_looked_for_among_those_of_all_objects(monkeypatch):
    records = Records.from_table(pa.table({"id": [1, 2, 3], "label": ["a", None, "b"]}))
    scorer = SimpleNamespace(embed=lambda records, rows: pa.table({"id": records.ids[rows], "embedding": rows}))
    monkeypatch.setattr(Records, "labels", property(lambda records: pytest.fail("the labels of all objects")))
    assert embedded_objects(scorer, records, np.array([2, 1]))["label"].to_pylist() == ["b", None]


def test_any_network_embeds_by_what_its_last_linear_layer_reads():
    network, x = Plain(), torch.randn(4, 5)
    module = module_of(network)
    torch.testing.assert_close(module.embed({"x": x}), network.first(x))
    assert not network.out._forward_pre_hooks


def test_a_network_without_linear_layers_embeds_by_its_logits():
    class Sums(nn.Module):
        def forward(self, batch):
            return batch["x"].cumsum(1)

    x = torch.randn(4, 2)
    torch.testing.assert_close(module_of(Sums()).embed({"x": x}), x.cumsum(1))


def test_trees_embed_by_what_runs_of_trees_add_up_to():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] > 0) + (x[:, 1] > 0)
    trees = BoostedTrees(3, {"max_depth": 2})
    trees.grow(xgb.QuantileDMatrix(x, y), 40)
    x = torch.from_numpy(x)
    parts = trees.embed(x).reshape(300, 16, 3)
    logits = trees(x)
    # Each run starts from the constant that all share.
    added = parts.sum(1) - logits
    torch.testing.assert_close(added, added[:1].expand_as(added), atol=1e-4, rtol=1e-4)


def test_neighbours_are_found_without_the_object_itself(tmp_path, capsys):
    vectors = np.arange(20, dtype=np.float32)[:, None] ** np.array([1.0, 1.5], np.float32)
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 2)
    file = tmp_path / "e.parquet"
    pq.write_table(pa.table({"id": np.arange(20) + 100, "label": ["a", None] * 10, "embedding": embedding}), file)
    assert [name for name, _, _ in nearest(file, "100", 3)] == ["101", "102", "103"]
    neighbours([str(file), "119", "2"])
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "118",
        "a",
        f"{np.hypot(*(vectors[19] - vectors[18])):.4g}",
    ]
    for words, message in ((["1", "2"], "does not exist"), ([str(file), "7"], "no object has the id 7"), ([], "takes")):
        with pytest.raises(BadInput, match=message):
            neighbours(words)
