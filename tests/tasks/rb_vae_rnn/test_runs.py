import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from astro_lightning import cli
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.predict.files import predict_file
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.rb_vae_rnn.deciding import decisions, evidence, first_class
from astro_lightning.tasks.rb_vae_rnn.encoded import EncodedModule
from astro_lightning.tasks.rb_vae_rnn.frames import normalise, take_frames
from astro_lightning.tasks.rb_vae_rnn.sequences import SequenceBatches, SequenceData, frame_inputs
from astro_lightning.tasks.rb_vae_rnn.simulate import simulate, simulate_embeddings

sys.path.insert(0, str(Path(__file__).parents[2]))
from command import astro_lightning, run_folder

HEAD = {"_target_": "astro_lightning.tasks.rb_vae_rnn.heads.AttentionPooling"}


@pytest.fixture
def module() -> EncodedModule:
    info = {
        "classes": ["artefact", "other"],
        "latent_dims": 4,
        "inputs": ["mu", "logvar", "deviation", "step"],
        "pooled": False,
    }
    info |= {"lightcurves": False, "max_frames": None, "scaled": True}
    info |= {f"{a}_{b}": [v] * 4 for a in ("mu", "logvar") for b, v in (("mean", 0.1), ("std", 0.7))}
    torch.manual_seed(0)
    module = EncodedModule(model=HEAD, optimizer={}, info=info)
    module.configure_model()
    return module.eval()


def test_frames_and_their_embeddings_get_the_same_score(module):
    records = Records.from_table(simulate(5, 0, n_frames=6))
    batch = SequenceBatches(records, module.info)[(np.array([3, 0, 4]), 0)]
    frames, offsets = take_frames(records, np.array([3, 0, 4]))
    with torch.no_grad():
        mu, logvar = (x.numpy() for x in module.network["vae"].encode(torch.from_numpy(normalise(frames)[0])))
        inputs = torch.from_numpy(frame_inputs(mu, logvar, offsets, module.info))
        embedded = module.network["head"]({"frames": inputs, "offsets": torch.from_numpy(offsets)})
        torch.testing.assert_close(module(batch), embedded)
    assert not any(p.requires_grad for p in module.network["vae"].parameters())


def test_a_frames_evidence_is_what_the_log_odds_lose_without_it(module):
    mu, logvar = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)

    def odds(kept: np.ndarray) -> float:
        offsets = np.array([0, len(kept)])
        frames = torch.from_numpy(frame_inputs(mu[kept], logvar[kept], offsets, module.info))
        with torch.no_grad():
            logits = module({"frames": frames, "offsets": torch.from_numpy(offsets)})[0]
        return float(logits[0] - logits[1])

    fall, attention = evidence(module, mu, logvar)
    assert fall[2] == pytest.approx(odds(np.arange(5)) - odds(np.array([0, 1, 3, 4])), abs=1e-5)
    assert attention.shape == (5,) and attention.sum() == pytest.approx(1, abs=1e-5)


def test_surest_mistakes_among_the_tested_come_before_validation_objects(module):
    survey, rng = Records.from_table(simulate(60, 0, n_frames=6)), np.random.default_rng(0)
    lengths = survey.ragged["frames"].lengths // 28**2 * 4
    lists = [[rng.normal(size=n) for n in lengths] for _ in range(2)]
    table = pa.table(
        {"id": survey.ids, "label": survey.labels, "group": survey.groups, "mu": lists[0], "logvar": lists[1]}
    )
    datamodule = SequenceData(data={}, cache="", inputs=module.info["inputs"], fold=0, n_folds=2, val_share=0.4)
    datamodule.records = Records.from_table(table)
    datamodule.splits = datamodule.rows(datamodule.records)
    tested = datamodule.splits["test"]
    p = first_class(module, datamodule, tested)
    module.threshold.fill_(float(np.median(p)))
    called = np.where(p > float(module.threshold), "artefact", "other")
    wrong = np.flatnonzero(called != survey.labels[tested])
    surest = wrong[np.argsort(-abs(p[wrong] - float(module.threshold)))][:3]
    found = decisions(module, datamodule, survey)
    wanted = [f"{survey.ids[tested[i]]}  test: {survey.labels[tested[i]]} called {called[i]}" for i in surest]
    assert [one.title.rpartition("  ")[0] for one in found[:3]] == wanted
    assert len(found) > 3 and all("validation" in one.title and one.called for one in found[3:])
    # The frame that decided spoke for what the object was called.
    assert all(one.fall[one.deciding] == (one.fall.max() if one.called else one.fall.min()) for one in found)
    assert {one.called for one in found[:3]} == {True, False}


@pytest.mark.slow
def test_folds_of_several_heads_make_one_ensemble_that_scores_a_file(tmp_path):
    words = (
        "task=rb_rnn",
        "trainer=cpu",
        "callbacks=quiet",
        "report=false",
        "data.simulation.n_objects=150",
        "task.n_folds=2",
    )
    short = ("task.heads=[trees,kernel,attention]", "task.val_share=0.1", "task.head.attention.trainer.max_epochs=2")
    astro_lightning(*words, *short, "task.head.trees.trainer.max_epochs=2", folder=tmp_path)
    folder = run_folder(tmp_path, "rb_rnn")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/n"] == 150 and metrics["test/roc_auc"] > 0.8
    assert abs(metrics["test/fold_auc_mean"] - metrics["test/roc_auc"]) < 0.1
    # Unlabelled embeddings of other fields, in the survey's own form.
    table = simulate_embeddings(20, 99)
    oid = np.asarray(table["id"]) + 10**14
    hidden = {"oid": oid, "mu8": table["mu"], "logvar8": table["logvar"]}
    pq.write_table(type(table).from_pydict(hidden), tmp_path / "hidden.parquet")
    out = tmp_path / "scores.parquet"
    astro_lightning(
        "mode=predict", "task=rb_rnn", "trainer=cpu", f"ckpt={folder}", f"data.path={tmp_path / 'hidden.parquet'}", f"out={out}",
        folder=tmp_path / "predict",
    )  # fmt: skip
    scores = pq.read_table(out).to_pandas()
    assert scores["id"].tolist() == oid.tolist()
    np.testing.assert_allclose(scores["prob_artefact"] + scores["prob_other"], 1, rtol=1e-5)
    truth = np.array(table["label"].to_pylist()) == "artefact"
    assert scores["prob_artefact"][truth].mean() > scores["prob_artefact"][~truth].mean()


@pytest.mark.slow
def test_folds_that_were_runs_of_their_own_join_into_what_one_run_gives(tmp_path):
    words = (
        "task=rb_rnn",
        "trainer=cpu",
        "callbacks=quiet",
        "report=false",
        "data.simulation.n_objects=100",
        "task.n_folds=2",
    )
    astro_lightning(*words, f"hydra.run.dir={tmp_path / 'whole'}", folder=tmp_path)
    astro_lightning("-m", *words, "task.folds=[0],[1]", f"hydra.sweep.dir={tmp_path / 'jobs'}", folder=tmp_path)
    first, second = sorted(path.parent for path in (tmp_path / "jobs").glob("*/predictions.parquet"))
    assert "test/fold_auc_mean" not in json.loads((first / "metrics.json").read_text())
    about = json.loads((first / "provenance.json").read_text())
    (first / "provenance.json").write_text(json.dumps(about | {"seconds": None}))  # as of a run that was resumed
    whole, out = tmp_path / "whole", tmp_path / "joined"
    said = astro_lightning("folds", str(out), str(second), str(first), folder=tmp_path).stdout
    assert "report.html" in said and (out / "report.html").exists()
    assert "Accuracy" in (out / "model_card.md").read_text()
    assert pq.read_table(out / "predictions.parquet").equals(pq.read_table(whole / "predictions.parquet"))
    metrics, joined = (json.loads((path / "metrics.json").read_text()) for path in (whole, out))
    assert joined == {name: value for name, value in metrics.items() if name.startswith("test/")}
    assert "test/fold_auc_mean" in joined
    table = simulate_embeddings(5, 99)
    assert Scorer(out).predict_table(table).equals(Scorer(whole).predict_table(table))

    other = tmp_path / "other"
    shutil.copytree(second, other)
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("fold_seed: 7", "fold_seed: 8"))
    for runs, error in (
        ((first, first), "fold 0 comes twice"),
        ((first,), "takes the folder to write"),
        ((second, whole), "task.folds=None"),
        ((first, other), "differ in task.fold_seed"),
        ((first, tmp_path / "nowhere"), "not a run folder"),
    ):
        refused(["folds", str(tmp_path / "no"), *map(str, runs)], error)
    refused(["folds", str(out), str(first), str(second)], "holds a run already")
    (other / "config.yaml").write_text(config.replace("n_folds: 2", "n_folds: 3"))
    refused(["folds", str(tmp_path / "no"), str(other), str(first)], "fold 2 is missing")
    (other / "config.yaml").write_text(config)
    part = pq.read_table(other / "predictions.parquet")
    pq.write_table(part[1:], other / "predictions.parquet")
    refused(["folds", str(tmp_path / "no"), str(first), str(other)], "the data hold 100")


def refused(words, said):
    with pytest.raises(BadInput, match=said):
        cli.call(words)


@pytest.mark.slow
def test_light_curve_features_are_found_by_their_names_and_objects_whatever_the_files_order(tmp_path):
    table = simulate_embeddings(80, 0, n_frames=6)
    embeddings = tmp_path / "embeddings"
    embeddings.mkdir()
    label = [int(name == "artefact") for name in table["label"].to_pylist()]
    lists = {"oid": table["id"], "label": label, "mu8": table["mu"], "logvar8": table["logvar"]}
    pq.write_table(type(table).from_pydict(lists), embeddings / "embeddings.parquet")
    names = [f"feature_{name}" for name in "abcdefgh"]
    values = np.array(table["features"].to_pylist()) * 10.0 ** np.arange(8)
    features = pd.DataFrame(values, columns=names, index=pd.Index(np.asarray(table["id"]), name="oid"))
    file = embeddings / "lightcurve_features.parquet"
    features.to_parquet(file)
    astro_lightning(
        "task=rb_rnn", "data=snad_embeddings", f"data.root={embeddings}", "task.lightcurves=true", "task.n_folds=2", "trainer=cpu",
        "callbacks=quiet", "report=false", folder=tmp_path,
    )  # fmt: skip
    scorer = Scorer(run_folder(tmp_path, "rb_rnn"))
    data = {"name": "simulated", "path": embeddings, "memory_gib": 1.0}  # no other survey than the run's was chosen

    def scores() -> list[float]:
        predict_file(scorer, data, tmp_path / "scores.parquet")
        return pq.read_table(tmp_path / "scores.parquet")["prob_artefact"].to_pylist()

    expected = scores()
    assert np.ptp(expected) > 0.1
    other = features[names[::-1]].assign(ra=1.0, name="x").sample(frac=1, random_state=1)
    other.set_axis(other.index.astype(str)).to_parquet(file)
    assert scores() == expected
    features.drop(columns="feature_c").to_parquet(file)
    with pytest.raises(BadInput, match="feature_c"):
        scores()


@pytest.mark.slow
def test_frames_to_decisions(tmp_path):
    words = (
        "experiment=rb_vae_rnn_quick",
        "trainer=cpu",
        "callbacks=quiet",
        "report=false",
        "data.simulation.n_objects=100",
    )
    astro_lightning(*words, "data.simulation.n_frames=8", "task.vae.trainer.max_epochs=1", folder=tmp_path)
    metrics = json.loads((run_folder(tmp_path, "rb_vae_rnn") / "metrics.json").read_text())
    assert metrics["test/n"] == 20 and "vae_fold0/val/live_dims" in metrics


@pytest.mark.slow
def test_several_heads_over_frames_are_averaged(tmp_path):
    words = (
        "task=rb_vae_rnn",
        "trainer=cpu",
        "callbacks=quiet",
        "report=false",
        "task.heads=[gru,tcn]",
        "task.folds=[0]",
    )
    small = ("data.simulation.n_objects=60", "+data.simulation.n_frames=4", "task.n_folds=2", "task.val_share=0.3")
    short = [f"task.{stage}.trainer.max_epochs=1" for stage in ("vae", "head.gru", "head.tcn")]
    astro_lightning(*words, *small, *short, "task.vae.model.latent_dims=4", folder=tmp_path)
    folder = run_folder(tmp_path, "rb_vae_rnn")
    table = simulate(20, 99, n_frames=4)
    whole = Scorer(folder).predict_table(table)["prob_artefact"].to_numpy()
    checkpoints = [folder / "checkpoints" / f"{name}_fold0" / "best.ckpt" for name in ("gru", "tcn")]
    single = [Scorer(path).predict_table(table)["prob_artefact"].to_numpy() for path in checkpoints]
    assert not np.allclose(*single)
    np.testing.assert_allclose(whole, np.mean(single, axis=0), rtol=1e-5)


def test_heads_that_cannot_be_trained_are_one_line(tmp_path):
    for task, head, said in (
        ("rb_rnn", "nope", "any of trees, kernel, attention, tcn"),
        ("rb_vae_rnn", "kernel", "kernel over frames takes neither"),
    ):
        finished = astro_lightning(f"task={task}", f"task.heads=[{head}]", "trainer=cpu", folder=tmp_path, expect=2)
        error = [line for line in finished.stderr.splitlines() if line.startswith("error: task.heads")]
        assert len(error) == 1 and said in error[0], finished.stderr


@pytest.mark.slow
def test_a_trial_run_hands_encoder_and_embeddings_on_and_keeps_nothing(tmp_path):
    words = ("data.simulation.n_objects=80", "+data.simulation.n_frames=4", "task.n_folds=2", "task.heads=[bigru]")
    astro_lightning("task=rb_vae_rnn", "trainer=cpu", "callbacks=quiet", "debug=fast_dev_run", *words, folder=tmp_path)
    assert not list(tmp_path.glob("outputs/**/*.ckpt"))
