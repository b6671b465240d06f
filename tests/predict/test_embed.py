import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import TINY, astro_lightning, run_folder

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.plasticc.simulate import simulate


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
    assert "of stage pretrain, which task=plasticc_finetune has not" in finished.stderr
    assert restore(run / "checkpoints" / "pretrain" / "best.ckpt").identity["stage"] == "pretrain"


def test_a_task_without_an_embedding_says_so():
    module = TaskModule(model={}, optimizer={}, info={"classes": ["a", "b"], "counts": [1, 1]})
    with pytest.raises(BadInput, match="TaskModule has no embedding"):
        module.embed({})
