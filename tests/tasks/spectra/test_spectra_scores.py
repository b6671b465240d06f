"""What is known and what is not, and the metrics of clean spectra."""

import numpy as np
import pyarrow as pa
import torch

from astro_lightning.tasks.spectra.novelty import Novelty
from astro_lightning.tasks.spectra.scoring import spectra_metrics
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
    assert metrics["clean_rejected"] == 0.5
    assert metrics["sky_rejected"] == 1
