import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.predict.early import cut
from astro_lightning.report.early import early_table
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.verbs.early import main as early


def curves(detected):
    return Records.from_table(
        pa.table(
            {
                "id": [7, 8],
                "label": ["a", "b"],
                "mjd": [[1.0, 5, 9, 40], [2.0, 3, 30]],
                "band": [[0, 1, 2, 3], [0, 1, 2]],
                "flux": [[1.0, 9, 9, 9], [5.0, 1, 50]],
                "flux_err": [[1.0] * 4, [1.0] * 3],
                "detected": detected,
                "later": [[1.0], [2.0]],
                "features": pa.array([[1.0, 2], [3, 4]], pa.list_(pa.float64(), 2)),
            }
        )
    )


def test_a_cut_curve_ends_days_after_its_first_detection_and_brings_nothing_later_along():
    records = cut(curves([[False, True, True, True], [False, True, True]]), np.array([1, 0]), 10.0)
    assert [records.ragged["mjd"].take(np.array([i]))[0].tolist() for i in (0, 1)] == [[2, 3], [1, 5, 9]]
    assert records.ids.tolist() == [8, 7]
    assert set(records.ragged) == {"mjd", "band", "flux", "flux_err", "detected"} and not records.fixed


def test_without_a_detection_days_count_from_the_highest_signal():
    records = cut(curves([[False] * 4, [False] * 3]), np.array([0, 1]), 1.0)
    assert records.ragged["mjd"].lengths.tolist() == [2, 3]
    with pytest.raises(BadInput, match="no light curves"):
        cut(Records.from_table(pa.table({"id": [1]})), np.array([0]), 1.0)


def test_the_score_of_each_time_is_that_of_its_own_predictions():
    table = pa.table(
        {
            "label": ["a", "b", "a", "b", None],
            "prob_a": [0.9, 0.9, 0.8, 0.1, 0.5],
            "prob_b": [0.1, 0.1, 0.2, 0.9, 0.5],
            "days": [2.0, 2.0, np.inf, np.inf, 2.0],
        }
    )
    found = early_table(table)
    assert found["days"].tolist() == [2, np.inf]
    assert found["objects"].tolist() == [2, 2]
    assert found["accuracy"].tolist() == [0.5, 1]


@pytest.mark.slow
def test_a_run_of_folds_is_tested_on_growing_curves_and_a_run_without_that_can_be_later(tmp_path, capsys, monkeypatch):
    words = ("task=plasticc_trees", "data.simulation.n_objects=80",
             "+data.simulation.classes=['42','90','88']", "trainer=cpu", "trainer.max_epochs=1",
             "task.trees.module.rounds_per_epoch=4", "task.stages.folds=2", "task.stages.models=[trees]",
             "task.features.copies=1", "task.features.redshift_shift=0", "task.features.end_early=true")  # fmt: skip
    astro_lightning(*words, "task.early_days=[3,30]", folder=tmp_path)
    run = run_folder(tmp_path, "plasticc_trees")
    table = pq.read_table(run / "examples" / "early.parquet")
    tested = pq.read_table(run / "predictions.parquet")
    assert len(table) == 3 * len(tested)
    assert set(table["days"].to_pylist()) == {3, 30, np.inf}
    assert (run / "plots" / "early.png").stat().st_size > 5000
    monkeypatch.setenv("ASTRO_LIGHTNING_CACHE", str(tmp_path / "cache"))
    early([str(run), "100000"])
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()[1:3]]
    assert rows[0][1:] == rows[1][1:]  # the whole curve is the whole curve
    assert "early" in (run / "report.html").read_text()


def test_the_verb_says_what_is_missing(tmp_path):
    for words, message in (([], "run folder"), ([str(tmp_path)], "no config.yaml")):
        with pytest.raises(BadInput, match=message):
            early(words)
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(BadInput, match="soon"):
        early([str(tmp_path), "soon"])


def test_ended_twin_curves_hold_at_least_the_first_detection():
    table = simulate(n_objects=20, seed=3)
    records = cut(Records.from_table(table), np.arange(20), 0.0)
    assert (records.ragged["mjd"].lengths > 0).all()


def test_what_has_no_fluxes_cannot_be_cut():
    records = Records.from_table(pa.table({"id": [1], "mjd": [[1.0]], "mag": [[15.0]]}))
    with pytest.raises(BadInput, match="no light curves of fluxes"):
        cut(records, np.array([0]), 5)


def test_a_class_that_a_resample_lacks_is_left_out_of_its_mean():
    rare = np.arange(300) < 2
    probability = np.where(rare[:, None], [0.1, 0.9], [0.9, 0.1])
    table = pa.table({
        "label": np.where(rare, "b", "a"), "days": np.full(300, 2.0), "prob_a": probability[:, 0], "prob_b": probability[:, 1],
    })  # fmt: skip
    row = early_table(table).iloc[0]
    assert row["macro_f1"] == row["macro_f1_low"] == row["macro_f1_high"] == 1
