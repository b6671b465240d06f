"""Which objects a run's calibration learns from."""

import numpy as np
import pytest
import yaml
from untrained import TASKS, untrained

from astro_lightning.core.stages import datamodule_of
from astro_lightning.methods.conformal.calibrator import Calibrator
from astro_lightning.predict.score import Scorer

CALIBRATOR = "+task.calibrator={_target_: astro_lightning.methods.conformal.calibrator.Calibrator}"
SPLIT = "data.split={train: 0.4, val: 0.2, calibration: 0.2, test: 0.2}"


@pytest.mark.parametrize(
    ("words", "stages", "part"),
    [
        ((SPLIT,), ["classify"], "calibration"),
        (("task.stages.folds=2",), ["fold0", "fold1"], "test"),
    ],
)
def test_objects_calibrate_that_their_network_neither_trained_nor_stopped_on(
    words, stages, part, tmp_path, monkeypatch
):
    folds, fit = [], Calibrator.fit

    def spied(self, given, *others):
        folds.extend(given)
        fit(self, given, *others)

    monkeypatch.setattr(Calibrator, "fit", spied)
    run = untrained(tmp_path, *TASKS["spectra"], "task.module.shifts=[0]", CALIBRATOR, *words)
    cfg, scorer = yaml.safe_load((run / "config.yaml").read_text()), Scorer(run)
    assert len(folds) == len(stages)
    for f, (fold, stage) in enumerate(zip(folds, stages)):
        data = datamodule_of(cfg, stage)
        known = np.isin(data.records.labels, scorer.info["classes"])
        rows = [data.splits[name][known[data.splits[name]]] for name in ("train", "val", part)]
        assert all(len(own) for own in rows) and len(np.unique(np.concatenate(rows))) == sum(map(len, rows))
        for given, own in zip((fold.train, fold.stop, fold.calibration), rows):
            np.testing.assert_allclose(given.logits, scorer.evidence(data.records, own, f).logits, rtol=1e-4)
            assert [scorer.info["classes"][k] for k in given.label] == list(data.records.labels[own])


def test_networks_of_one_split_are_calibrated_by_the_mean_of_their_probabilities(tmp_path):
    run = untrained(tmp_path, *TASKS["frames"], "task.heads=[attention,tcn]")
    scorer = Scorer(run)
    stages = [member.identity["stage"] for member in scorer.folds[0]]
    assert len(stages) == 2
    data = datamodule_of(yaml.safe_load((run / "config.yaml").read_text()), stages[0])
    rows = data.splits["test"][:5]
    own = [Scorer(run / "checkpoints" / stage / "best.ckpt").score(data.records, rows) for stage in stages]
    said = np.array([[table[f"prob_{name}"].to_numpy() for name in scorer.info["classes"]] for table in own])
    assert np.abs(said[0] - said[1]).max() > 0.05  # the mean of logits is another
    np.testing.assert_allclose(scorer.evidence(data.records, rows, 0).probability, said.mean(0).T, atol=1e-6)


def test_objects_that_several_networks_held_out_do_not_calibrate_themselves(tmp_path, caplog):
    run = untrained(tmp_path, *TASKS["spectra"], CALIBRATOR, "task.stages.members=2", "task.stages.folds=2")
    assert Scorer(run).calibration is None
    assert "not calibrated: several networks held out the same objects" in caplog.text
