"""Scoring files that training never saw, through the command line."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import TINY, astro_lightning, run_folder

from astro_lightning.data.errors import BadInput
from astro_lightning.predict.modes import as_trained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the twin: folder above it, and the run folder."""
    folder = tmp_path_factory.mktemp("run")
    astro_lightning("task=plasticc_finetune", *TINY, folder=folder)
    return folder, run_folder(folder, "plasticc_finetune")


def write_survey(folder, n=7, seed=5, target=True):
    """Light curves of the twin in the survey's own CSV layout."""
    from astro_lightning.tasks.plasticc.simulate import simulate

    table = simulate(n_objects=n, seed=seed).to_pandas()
    lengths = table["mjd"].str.len()
    long = pd.DataFrame(
        {
            "object_id": np.repeat(table["id"].to_numpy() + 1000, lengths),
            "mjd": np.concatenate(table["mjd"]),
            "passband": np.concatenate(table["band"]),
            "flux": np.concatenate(table["flux"]),
            "flux_err": np.concatenate(table["flux_err"]),
            "detected": np.concatenate(table["detected"]).astype(int),
        }
    )
    meta = pd.DataFrame(
        {
            "object_id": table["id"] + 1000, "ra": 0.0, "decl": 0.0, "ddf": table["ddf"].astype(int), "hostgal_specz": 0.0,
            "hostgal_photoz": table["photoz"], "hostgal_photoz_err": table["photoz_err"], "mwebv": table["mwebv"],
            "target": table["label"].astype(int),
        }
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    meta = meta.iloc[::-1]  # an order of its own, to be kept
    long.to_csv(folder / "training_set.csv", index=False)
    (meta if target else meta.drop(columns="target")).to_csv(folder / "training_set_metadata.csv", index=False)
    return meta["object_id"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [True, False])
def test_one_row_an_object_in_the_inputs_order_with_a_probability_for_each_class(run, tmp_path, labelled):
    above, folder = run
    ids = write_survey(tmp_path / "survey", target=labelled)
    out = tmp_path / "scores.parquet"
    astro_lightning("mode=predict", f"ckpt={folder}", f"data.path={tmp_path / 'survey'}", f"out={out}", folder=above)
    scores = pq.read_table(out).to_pandas()
    assert scores["id"].tolist() == ids
    columns = [name for name in scores.columns if name.startswith("prob_")]
    assert len(columns) == 14 and "prob_90" in columns
    np.testing.assert_allclose(scores[columns].sum(axis=1), 1, atol=1e-5)
    by_file = tmp_path / "by_checkpoint.parquet"
    checkpoint = folder / "checkpoints" / "finetune" / "best.ckpt"
    astro_lightning(
        "mode=predict", f"ckpt={checkpoint}", f"data.path={tmp_path / 'survey'}", f"out={by_file}", folder=above
    )
    assert pq.read_table(by_file).equals(pq.read_table(out))


@pytest.mark.slow
def test_objects_of_the_training_split_are_warned_of(run, tmp_path):
    above, folder = run
    config = (folder / "config.yaml").read_text()
    assert "n_objects: 160" in config
    # The twin of the same seed is the training data again, through the survey's own files (float32 survives CSV).
    write_survey(tmp_path / "survey", n=160, seed=0)
    words = ("mode=predict", f"ckpt={folder}", f"data.path={tmp_path / 'survey'}", f"out={tmp_path / 'o.parquet'}")
    said = astro_lightning(*words, folder=above)
    assert "were in the training split" in said.stdout + said.stderr


@pytest.mark.slow
def test_bad_input_leaves_no_output_and_exits_two(run, tmp_path):
    above, folder = run
    survey = tmp_path / "survey"
    write_survey(survey)
    out = tmp_path / "scores.parquet"
    csv = survey / "training_set.csv"
    text = csv.read_text()
    for broken, said in (
        (text.replace("passband", "pass"), "passband"),
        (text.replace(",2,", ",9,", 1), "9"),
        ("", "training_set.csv"),
    ):
        csv.write_text(broken)
        words = ("mode=predict", f"ckpt={folder}", f"data.path={survey}", f"out={out}")
        finished = astro_lightning(*words, folder=above, expect=2)
        errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and said in errors[0], finished.stderr
    assert not out.exists() and not list(tmp_path.glob(".scores*"))


@pytest.mark.slow
def test_a_file_that_is_to_be_scored_is_not_written_over(run, tmp_path):
    above, folder = run
    write_survey(tmp_path / "2019_01_10")  # a name that reads like a number
    for name in ("lightcurves", "metadata"):
        table = pd.read_csv(tmp_path / "2019_01_10" / f"training_set{'_metadata' * (name == 'metadata')}.csv")
        table.to_parquet(tmp_path / "2019_01_10" / f"{name}.parquet")
    for file in (tmp_path / "2019_01_10").glob("*.csv"):
        file.unlink()
    out = tmp_path / "2019_01_10" / "lightcurves.parquet"
    before = out.read_bytes()
    words = ("mode=predict", f"ckpt={folder}", f"data.path={out.parent}")
    finished = astro_lightning(*words, f"out={out}", folder=above, expect=2)
    assert "is a file that is to be scored: give another name" in finished.stderr
    assert out.read_bytes() == before
    for _ in range(2):  # an earlier output beside the survey's files is no input
        astro_lightning(*words, f"out={out.with_name('scores.parquet')}", folder=above)


@pytest.mark.slow
def test_export_agrees_with_the_network_on_any_batch_size(run, tmp_path):
    import torch

    above, folder = run
    out = tmp_path / "network.pt2"
    finished = astro_lightning(
        "mode=export", f"ckpt={folder}", f"out={out}", *TINY, "task=plasticc_finetune", folder=above
    )
    assert "largest difference" in finished.stdout and out.exists()
    from astro_lightning.data.records import Records
    from astro_lightning.predict.score import Scorer
    from astro_lightning.tasks.plasticc.simulate import simulate

    scorer, records = Scorer(folder), Records.from_table(simulate(n_objects=5, seed=9))
    batch = next(iter(scorer.batches(scorer.members[0], records, np.arange(3))))
    kept = {"inputs": ""}  # the file says which tensors it takes, in order
    network = torch.export.load(out, extra_files=kept).module()
    found = network(*(batch[name] for name in kept["inputs"].split(","))).detach().numpy()
    expected = scorer.predict(records, np.arange(3)).to_pandas().filter(like="prob_").to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_test_mode_finds_the_metrics_of_the_run_again_without_being_told_its_data(run, tmp_path):
    above, folder = run
    astro_lightning("mode=test", f"ckpt={folder}", f"hydra.run.dir={tmp_path / 't'}", folder=above)
    again = json.loads((tmp_path / "t" / "metrics.json").read_text())
    first = json.loads((folder / "metrics.json").read_text())
    assert again["test/accuracy"] == first["test/accuracy"] and again["test/log_loss"] == first["test/log_loss"]
    assert again["test/n"] == first["test/n"] == 32


@pytest.mark.slow
def test_testing_on_objects_of_the_training_split_warns(run, tmp_path):
    above, folder = run
    words = ("data.split_seed=7", "data.simulation.n_objects=160")
    said = astro_lightning("mode=test", f"ckpt={folder}", *words, f"hydra.run.dir={tmp_path / 't'}", folder=above)
    assert "were in the training split" in said.stdout + said.stderr


@pytest.mark.slow
def test_the_scorer_is_pure_and_survives_pickling(run):
    import pickle

    from astro_lightning.predict.score import Scorer
    from astro_lightning.tasks.plasticc.simulate import simulate

    table = simulate(n_objects=6, seed=4)
    scorer = Scorer(run[1])
    first = scorer.predict_table(table)
    assert first.equals(scorer.predict_table(table))
    assert pickle.loads(pickle.dumps(scorer)).predict_table(table).equals(first)
    assert scorer.predict_table(table.slice(0, 0)).num_rows == 0


@pytest.mark.slow
def test_the_run_folder_is_complete(run):
    _, folder = run
    for name in (
        "config.yaml",
        "metrics.json",
        "predictions.parquet",
        "report.html",
        "provenance.json",
        "model_card.md",
    ):
        assert (folder / name).stat().st_size > 0, name
    predictions = pq.read_table(folder / "predictions.parquet")
    assert {"id", "label", "prob_90"} <= set(predictions.column_names)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["data"]["splits"]["test"] == predictions.num_rows
    assert (
        provenance["command"][:3] == ["python", "-m", "astro_lightning"]
        and "task=plasticc_finetune" in provenance["command"]
    )


def test_a_setting_of_the_data_changes_the_runs_own_and_chooses_no_other(tmp_path, caplog):
    own = {"name": "plasticc", "path": None, "root": "/x", "split_seed": 0, "split": {"test": 0.2}, "reader": None}
    kept = {"task": {"name": "t"}, "model": {}, "optimizer": {}, "seed": 4, "data": own}
    (tmp_path / "config.yaml").write_text(json.dumps(kept))
    default = {
        "name": "simulated",
        "path": "a.csv",
        "root": None,
        "split_seed": 3,
        "split": {"test": 0.5},
        "reader": {"a": 1},
    }
    cfg = kept | {"ckpt": str(tmp_path), "mode": "test", "data": default, "seed": 0}
    words = [
        "data.split_seed=3",
        "data.path=a.csv",
        "+data.reader.a=1",
        "seed=0",
        "task.calibrator.alpha=0.2",
        "task=t",
    ]
    found = as_trained(cfg, words)
    assert found["data"] == own | {"split_seed": 3, "path": "a.csv", "reader": {"a": 1}} and found["seed"] == 4
    assert "seed, task.calibrator.alpha: without effect" in caplog.text
    assert as_trained(cfg, ["data=simulated"])["data"] == default and as_trained(cfg, [])["data"] == own


def test_a_checkpoint_of_a_refit_has_the_runs_data_and_one_that_lies_anywhere_needs_to_be_told(tmp_path):
    kept = {"data": {"name": "stars"}, "task": {"name": "t"}, "model": {}, "optimizer": {}, "seed": 3}
    (tmp_path / "config.yaml").write_text(json.dumps(kept))
    asked = {"mode": "test", "data": {"name": "simulated", "path": None}, "task": {"name": "t"}}
    for inside in ("checkpoints/s/best.ckpt", "refit/checkpoints/s/best.ckpt"):
        path = tmp_path / inside
        path.parent.mkdir(parents=True)
        path.touch()
        assert as_trained(asked | {"ckpt": str(path)}, [])["data"]["name"] == "stars"
    alone = tmp_path / "elsewhere" / "a" / "b" / "best.ckpt"
    with pytest.raises(BadInput, match="lies in no run folder"):
        as_trained(asked | {"ckpt": str(alone)}, [])
    alone.parents[2].mkdir()
    (alone.parents[2] / "config.yaml").write_text("learning_rate: 1")  # another program's
    with pytest.raises(BadInput, match="lies in no run folder"):
        as_trained(asked | {"ckpt": str(alone)}, [])
    assert as_trained(asked | {"ckpt": str(alone)}, ["data=simulated"])["data"]["name"] == "simulated"
