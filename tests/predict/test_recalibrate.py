"""`mode=calibrate`: a finished run calibrated anew on labelled objects of a survey that it never saw."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder
from untrained import TASKS, settings, untrained

from astro_lightning.data.errors import BadInput
from astro_lightning.predict import modes
from astro_lightning.predict.files import read_input
from astro_lightning.predict.recalibrate import recalibrate
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.spectra.module import SpectraModule
from astro_lightning.tasks.spectra.simulate import simulate

FOLDS = ("task=spectra", "trainer=cpu", "callbacks=quiet", "trainer.max_epochs=1", "model.width=4",
         "data.simulation.n_objects=200", "task.stages.folds=2", "report=false")  # fmt: skip
CALIBRATOR = "+task.calibrator={_target_: astro_lightning.methods.conformal.calibrator.Calibrator}"


def red_arm(path, n, seed, labelled=True):
    """Spectra of an instrument that sees the red arm alone."""
    table = simulate(n, seed)
    ivar = np.stack(table["ivar"].to_numpy())
    ivar[:, :1500] = 0
    column = pa.FixedSizeListArray.from_arrays(ivar.ravel(), ivar.shape[1])
    table = table.set_column(table.column_names.index("ivar"), "ivar", column)
    pq.write_table(table if labelled else table.drop_columns("label"), path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    astro_lightning(*FOLDS, CALIBRATOR, folder=folder)
    return run_folder(folder, "spectra")


def scores(run, file, folder):
    out = folder / f"{run.name}.parquet"
    astro_lightning("mode=predict", f"ckpt={run}", f"data.path={file}", f"out={out}", folder=folder)
    return pq.read_table(out)


@pytest.mark.slow
def test_new_objects_of_the_survey_have_the_p_values_of_known_kinds(run, tmp_path):
    own, others = red_arm(tmp_path / "own.parquet", 240, 7), red_arm(tmp_path / "others.parquet", 200, 8)
    new = tmp_path / "calibrated"
    words = ("mode=calibrate", f"ckpt={run}", f"data.path={own}", f"hydra.run.dir={new}")
    said = astro_lightning(*words, folder=tmp_path).stdout
    n_known = sum(label != "UNKNOWN" for label in pq.read_table(own)["label"].to_pylist())
    assert f"calibrated on {n_known} objects: ckpt={new}" in said
    known = np.isin(pq.read_table(others)["label"].to_pylist(), ["STAR", "GALAXY", "QSO"])
    before, after = scores(run, others, tmp_path), scores(new, others, tmp_path)
    for name in ("ood_p", "p_STAR"):
        assert before[name] != after[name]
    # Uniform: their mean is one half to within three standard errors of both samples.
    error = 3 * (1 / np.sqrt(12)) * np.sqrt(1 / known.sum() + 1 / 200)
    assert abs(after["ood_p"].to_numpy()[known].mean() - 0.5) < error
    truth = pq.read_table(others)["label"].to_pylist()
    of_truth = np.array([after[f"p_{label}"][i].as_py() for i, label in enumerate(truth) if known[i]])
    assert abs(of_truth.mean() - 0.5) < 1.5 * error
    assert before["prob_STAR"] == after["prob_STAR"]  # the networks and their temperature stay


@pytest.mark.slow
def test_the_objects_are_tested_by_the_folds_that_they_do_not_calibrate(run, tmp_path):
    own = red_arm(tmp_path / "own.parquet", 240, 7)
    new = tmp_path / "calibrated"
    astro_lightning("mode=calibrate", f"ckpt={run}", f"data.path={own}", f"hydra.run.dir={new}", folder=tmp_path)
    tested = pq.read_table(new / "predictions.parquet")
    assert sorted(tested["id"].to_pylist()) == sorted(pq.read_table(own)["id"].to_pylist())
    metrics = json.loads((new / "metrics.json").read_text())
    n_known = sum(label != "UNKNOWN" for label in pq.read_table(own)["label"].to_pylist())
    assert metrics["test/conformal_calibration_objects"] == n_known
    assert abs(metrics["test/coverage"] - 0.9) < 0.1
    splits = {"calibration": n_known, "test": 240}
    assert json.loads((new / "provenance.json").read_text())["data"]["splits"] == splits
    assert (new / "report.html").exists() and f"Trained by the run {run}" in (new / "model_card.md").read_text()
    again = astro_lightning("mode=calibrate", f"ckpt={run}", f"data.path={own}", f"hydra.run.dir={new}",
                            folder=tmp_path, expect=2)  # fmt: skip
    assert "choose another hydra.run.dir" in again.stderr


def test_each_fold_tests_the_objects_of_the_others_as_it_will_score_new_ones(tmp_path, monkeypatch):
    words = (*TASKS["spectra"], CALIBRATOR, "task.stages.folds=2")
    run, new = untrained(tmp_path / "run", *words), tmp_path / "new"
    new.mkdir()
    cfg = settings(tmp_path, *words, "trainer=cpu", "report=false", "mode=calibrate", f"ckpt={run}")
    cfg["data"]["path"] = str(red_arm(tmp_path / "own.parquet", 240, 7))
    monkeypatch.setattr(SpectraModule, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        modes.calibrate(cfg, new)
    assert not (new / "checkpoints").exists()  # the same command works again
    monkeypatch.undo()
    modes.calibrate(cfg, new)
    scorer, found = Scorer(new), pq.read_table(new / "predictions.parquet").to_pandas().set_index("id")["ood_p"]
    _, records, parts = recalibrate(scorer, read_input(cfg["data"], scorer), cfg["seed"])
    for part, other in zip(parts, (1, 0), strict=True):
        expected = scorer.score(records, part, [(other, other)]).to_pandas().set_index("id")["ood_p"]
        np.testing.assert_allclose(found[expected.index], expected)


def test_of_a_file_what_is_labelled_is_kept(tmp_path):
    run = untrained(tmp_path / "run", *TASKS["spectra"], CALIBRATOR, "task.stages.folds=2")
    table = pq.read_table(red_arm(tmp_path / "own.parquet", 60, 7))
    label = pa.array([name if i < 40 else None for i, name in enumerate(table["label"].to_pylist())], pa.string())
    partly = tmp_path / "partly.parquet"
    pq.write_table(table.set_column(table.column_names.index("label"), "label", label), partly)
    scorer = Scorer(run)
    _, records, parts = recalibrate(scorer, read_input({**scorer.info["data"], "path": str(partly)}, scorer), 0)
    assert sorted(records.ids.tolist()) == sorted(table["id"].to_pylist()[:40])
    assert sorted(np.concatenate(parts).tolist()) == list(range(40))


def interrupted(*_):
    raise KeyboardInterrupt


def test_networks_without_distances_from_known_spectra_reject_nothing(tmp_path):
    run = untrained(tmp_path / "run", *TASKS["spectra"])
    cfg = settings(tmp_path, *TASKS["spectra"], "trainer=cpu", "mode=calibrate", f"ckpt={run}")
    cfg["data"]["path"] = str(red_arm(tmp_path / "own.parquet", 30, 7))
    with pytest.raises(BadInput, match="know no distance"):
        modes.calibrate(cfg, tmp_path)


@pytest.mark.slow
def test_spectra_are_rejected_by_the_distances_of_the_survey(tmp_path):
    astro_lightning(*FOLDS, folder=tmp_path)
    run, new = run_folder(tmp_path, "spectra"), tmp_path / "calibrated"
    own, others = red_arm(tmp_path / "own.parquet", 240, 7), red_arm(tmp_path / "others.parquet", 200, 8)
    astro_lightning("mode=calibrate", f"ckpt={run}", f"data.path={own}", f"hydra.run.dir={new}", folder=tmp_path)
    known = np.isin(pq.read_table(others)["label"].to_pylist(), ["STAR", "GALAXY", "QSO"])
    before, after = scores(run, others, tmp_path), scores(new, others, tmp_path)
    p, was = after["p_known"].to_numpy()[known], before["p_known"].to_numpy()[known]
    assert abs(p.mean() - 0.5) < 0.1 < abs(was.mean() - 0.5)
    assert after["reject"].to_pylist() == [value <= np.float32(0.03) for value in after["p_known"].to_pylist()]


def test_what_cannot_calibrate_is_one_line(tmp_path):
    own = red_arm(tmp_path / "own.parquet", 30, 7)
    bare = untrained(tmp_path / "stamps", *TASKS["stamps"])
    folds = untrained(tmp_path / "folds", *TASKS["spectra"], CALIBRATOR, "task.stages.folds=3")
    unlabelled = red_arm(tmp_path / "unlabelled.parquet", 30, 7, labelled=False)
    five = tmp_path / "five.parquet"
    pq.write_table(pq.read_table(own).slice(0, 5), five)
    for run, file, word, reason in (
        (bare, own, (), "has no calibration to renew"),
        (folds, own, ("out=x.parquet",), "writes a run folder: leave out= out"),
        (
            folds,
            unlabelled,
            (),
            "0 labelled objects of STAR, GALAXY, QSO that were not trained on, in 0 groups, are too few",
        ),
        (folds, five, (), "are too few for the 3 folds"),
    ):
        words = ("mode=calibrate", f"ckpt={run}", f"data.path={file}", *word)
        said = astro_lightning(*words, folder=tmp_path, expect=2).stderr
        assert reason in said and "Traceback" not in said
        assert not list(tmp_path.glob("outputs/**/*.ckpt"))
