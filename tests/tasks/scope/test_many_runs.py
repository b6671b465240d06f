"""One run a label, and a catalogue of fields scored by several runs, as typed in a shell."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import astro_lightning, run_folder

from astro_lightning.cli import call
from astro_lightning.compose import composed
from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.scope.label_runs import all_labels, importances
from astro_lightning.tasks.scope.pictures import importance_table, ranking
from astro_lightning.tasks.scope.simulate import simulate

TINY = (
    "trainer=cpu", "callbacks=quiet", "report=false", "data.simulation.n_objects=120",
    "task.features.max_per_day=8", "trainer.max_epochs=1", "task.folds=2",
)  # fmt: skip


@pytest.mark.slow
def test_a_run_for_each_label_goes_on_and_its_runs_score_fields_together(tmp_path):
    """Of an experiment whose boosters and forest are averaged; neither gives types where one label is asked for."""
    words = ("labels", str(tmp_path / "all"), "labels=e,rrlyr", f"paths.outputs={tmp_path}", "experiment=scope_catalina",
             "data=simulated", "refit=false", "task.stages.forest.model.n_trees=5", "task.features.excise=true", *TINY)  # fmt: skip
    assert "2 labels, mean F1" in astro_lightning(*words, folder=tmp_path, timeout=900).stdout
    with (tmp_path / "all" / "labels.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["e", "rrlyr"]
    assert (tmp_path / "all" / "feature_ranking.csv").read_text().startswith("feature,labels_with_it_in_top_3")
    table = pq.read_table(tmp_path / "all" / "predictions.parquet")
    assert {"prob_e", "prob_rrlyr", "truth_e", "truth_rrlyr", "period"} <= set(table.column_names)
    assert "prob_EA" not in table.column_names
    for label in ("e", "rrlyr"):
        columns = pq.read_schema(tmp_path / "all" / label / "predictions.parquet").names
        assert [name for name in columns if name.startswith("prob_")] == [f"prob_{label}"]
    first = (tmp_path / "all" / "e" / "checkpoints" / "periods" / "best.ckpt").stat().st_mtime_ns
    assert (tmp_path / "all" / "rrlyr" / "checkpoints" / "forest" / "done.json").exists()
    assert not (tmp_path / "all" / "rrlyr" / "checkpoints" / "periods").exists()  # those of the first label
    astro_lightning(*words[:2], "jobs=1", *words[2:], folder=tmp_path, timeout=900)
    assert (tmp_path / "all" / "e" / "checkpoints" / "periods" / "best.ckpt").stat().st_mtime_ns == first

    fields = tmp_path / "fields"
    fields.mkdir()
    for name, seed in (("f1", 5), ("f2", 6)):
        curves = simulate(5, seed).drop_columns(["label", "period"])
        pq.write_table(curves.append_column("source", [["a", "b", "a", "b", name]]), fields / f"{name}.parquet")
    run = str(tmp_path / "all" / "e")
    astro_lightning("catalogue", str(fields), str(tmp_path / "scored"), f"xgb={run}", f"dnn={run}", folder=tmp_path)
    scored = pq.read_table(tmp_path / "scored" / "f2.parquet")
    assert scored.column_names == ["id", "source", "prob_e_xgb", "period", "prob_e_dnn", "prob_e", "tags", "conflicts"]
    every = pa.concat_tables([pq.read_table(tmp_path / "scored" / f"{name}.parquet") for name in ("f1", "f2")])
    sources = pq.read_table(tmp_path / "scored" / "sources.parquet")
    assert sources["source"].to_pylist() == ["a", "b", "f1", "f2"]
    of_a = [row["prob_e"] for row in every.to_pylist() if row["source"] == "a"]
    assert len(of_a) == 4 and sources["prob_e"][0].as_py() == pytest.approx(np.mean(of_a))
    assert scored["id"].to_pylist() == pq.read_table(fields / "f2.parquet")["id"].to_pylist()


def test_features_are_ranked_over_the_runs_of_all_labels(tmp_path):
    gains = {
        "e": {"period": 8.0, "skew": 1.0, "iqr": 0.5, "n": 0.5},
        "rrab": {"skew": 6.0, "ad": 2.0, "sw": 1.5, "n": 0.5},
    }
    for label, gain in gains.items():
        (tmp_path / label).mkdir()
        (tmp_path / label / "importances.csv").write_text(importance_table({label: gain}))
    (tmp_path / "network").mkdir()
    rows = ranking(importances([tmp_path / name for name in (*gains, "network")])).splitlines()
    assert rows[1:3] == ["skew,2,0.3500", "period,1,0.4000"] and rows[-1] == "n,0,0.0500"


def test_a_misspelt_word_is_said_as_it_is_of_a_run(tmp_path):
    with pytest.raises(BadInput, match=r"^there is no setting nokey"):
        call(["labels", str(tmp_path / "all"), "task=scope_xgb", "nokey=3"])
    assert not (tmp_path / "all").exists()


def test_without_a_list_a_training_table_has_a_run_for_each_of_its_label_columns(tmp_path):
    words = ("task=scope_table_xgb", "trainer=cpu", "data.simulation.n_objects=200", f"paths.cache={tmp_path}")
    assert all_labels(composed(*words)) == ["vnv", "pnp", "e", "i"]


@pytest.mark.slow
def test_the_report_folds_the_surest_mistakes_of_each_type(tmp_path):
    astro_lightning("task=scope_xgb", *(word for word in TINY if word != "report=false"), folder=tmp_path)
    run = run_folder(tmp_path, "scope_xgb")
    assert (run / "plots" / "mistaken_curves.png").exists()
    assert "Mistaken curves" in (run / "report.html").read_text()
    pq.write_table(simulate(5, 7).drop_columns(["label", "period"]), tmp_path / "new.parquet")
    words = ("mode=predict", "task=scope_xgb", f"ckpt={run}", f"out={tmp_path / 'scores.parquet'}", "trainer=cpu")
    astro_lightning(*words, f"data.path={tmp_path / 'new.parquet'}", folder=tmp_path)
    assert {"type", "period", "prob_e"} <= set(pq.read_schema(tmp_path / "scores.parquet").names)
