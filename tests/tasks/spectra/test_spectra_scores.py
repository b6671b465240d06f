"""What is known and what is not, and the metrics of clean spectra."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.stages import datamodule_of
from astro_lightning.predict.modes import test_run as score_test
from astro_lightning.predict.score import Scorer
from astro_lightning.report.predictions import read_predictions
from astro_lightning.report.scores import score
from astro_lightning.tasks.spectra.novelty import Novelty, attach_novelty
from astro_lightning.tasks.spectra.scoring import is_clean, spectra_metrics
from tests.tasks.spectra.test_spectra_task import CLASSES


def test_what_is_far_from_training_spectra_is_not_known_and_survives_the_checkpoint():
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:3] * 10

    def spectra(n, kind):
        embedding = centres[kind] + rng.normal(0, 1, (n, 8)) if kind is not None else -10 + rng.normal(0, 1, (n, 8))
        probability = np.full((n, 3), 0.1)
        probability[:, kind or 0] = 0.8
        return {"_embedding": embedding} | {f"prob_{name}": probability[:, i] for i, name in enumerate(CLASSES)}

    train = np.concatenate([spectra(100, kind)["_embedding"] for kind in range(3)])
    val = [spectra(60, kind) | {"target": np.full(60, kind)} for kind in range(3)]
    novelty = Novelty.fit(CLASSES, train, {name: np.concatenate([part[name] for part in val]) for name in val[0]})
    new = {name: torch.from_numpy(values) for name, values in spectra(500, 1).items()}
    found = novelty.columns(new)
    assert 0.01 < (found["p_known"] <= 0.05).float().mean() < 0.12
    assert (found["p_GALAXY"] > found["p_STAR"]).all()
    strange = {name: torch.from_numpy(values) for name, values in spectra(50, None).items()}
    assert novelty.columns(strange)["p_known"].max() < 0.02
    again = Novelty.from_state(novelty.state()).columns(new)
    for name, values in found.items():
        torch.testing.assert_close(again[name], values)


def test_metrics_are_of_clean_spectra_and_by_survey():
    predictions = pa.table(
        {
            "label": ["STAR", "QSO", "GALAXY", "QSO", "SKY"],
            "survey": ["LAMOST", "SDSS", "SDSS", "BOSS", "SDSS"],
            "snr": [10.0, 10.0, 10.0, 1.0, 0.1],
            "zwarning": [0, 0, 4, 0, 0],
            "prob_STAR": [0.9, 0.1, 0.9, 0.9, 0.5],
            "prob_GALAXY": [0.05, 0.1, 0.05, 0.05, 0.3],
            "prob_QSO": [0.05, 0.8, 0.05, 0.05, 0.2],
            "reject": [False, True, False, False, True],
        }
    )
    metrics = spectra_metrics(predictions, CLASSES)
    assert metrics["n"] == 2
    assert metrics["macro_f1"] == 1
    assert metrics["accuracy_of_SDSS"] == 1
    assert metrics["macro_f1_with_doubtful"] < 1
    # By signal-to-noise ratio the faint ones are counted too, but for those of which the pipeline warned.
    assert metrics["macro_f1_snr_0_2"] == 0 and metrics["macro_f1_snr_10_20"] == 1
    assert metrics["clean_rejected"] == 0.5
    assert metrics["sky_rejected"] == 1


def test_what_is_not_known_speaks_against_no_spectrum():
    predictions = pa.table({"label": ["STAR"] * 3, "snr": [None, float("nan"), 1.0], "zwarning": [None, 0, 0]})
    assert is_clean(predictions, CLASSES).tolist() == [True, True, False]
    assert is_clean(predictions.drop_columns(["snr", "zwarning"]), CLASSES).all()


FAINT = ("+data.simulation.min_snr=1.5", "+data.simulation.max_snr=3", "data.simulation.n_objects=120")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("run"), *TASKS["spectra"], *FAINT)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("trees"), "task=spectra_xgb", *FAINT)


def settings(run):
    return yaml.safe_load((run / "config.yaml").read_text())


def test_new_spectra_are_ranked_among_validation_spectra_that_no_training_saw(run):
    checkpoint, datamodule = run / "checkpoints" / "classify" / "best.ckpt", datamodule_of(settings(run), "classify")
    attach_novelty(checkpoint, datamodule, torch.device("cpu"))
    novelty, rows = restore(checkpoint).module.novelty, datamodule.splits["val"]
    rows = rows[np.isin(datamodule.records.labels[rows], CLASSES)]
    assert [CLASSES[k] for k in novelty.target] == list(datamodule.records.labels[rows])
    ranked = Scorer(checkpoint).predict(datamodule.records, rows).to_pandas()
    np.testing.assert_allclose(novelty.score, ranked["ood_score"], rtol=1e-4)
    assert ranked["p_known"].max() == 1 and ranked["p_known"].min() == pytest.approx(2 / (1 + len(rows)))


@pytest.mark.parametrize("kind", ["run", "trees"])
def test_the_accuracy_of_a_run_and_of_its_report_is_of_the_same_spectra(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    metrics, _ = score_test(settings(run), run, tmp_path)
    scores = score(read_predictions(tmp_path / "predictions.parquet"))
    assert scores.n_doubtful and scores.n_other and scores.n_scored == metrics["test/n"]
    for name in ("accuracy", "macro_f1"):
        assert scores.overall[name].value == pytest.approx(metrics[f"test/{name}"])
        assert scores.interval(f"test/{name}", metrics[f"test/{name}"]) is not None
