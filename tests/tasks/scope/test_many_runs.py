"""One run a label, and a catalogue of fields scored by several runs, as typed in a shell."""

import csv

import pyarrow.parquet as pq
import pytest
from command import astro_lightning

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.scope.label_runs import run_labels
from astro_lightning.tasks.scope.simulate import simulate

TINY = (
    "task=scope_xgb", "trainer=cpu", "callbacks=quiet", "report=false", "data.simulation.n_objects=120",
    "task.features.max_per_day=8", "trainer.max_epochs=1", "task.folds=2",
)  # fmt: skip


@pytest.mark.slow
def test_a_run_for_each_label_goes_on_and_its_runs_score_fields_together(tmp_path):
    words = ("labels", str(tmp_path / "all"), "labels=e,rrlyr", f"paths.outputs={tmp_path}", *TINY)
    assert "2 labels, mean F1" in astro_lightning(*words, folder=tmp_path, timeout=900).stdout
    with (tmp_path / "all" / "labels.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["e", "rrlyr"]
    table = pq.read_table(tmp_path / "all" / "predictions.parquet")
    assert {"prob_e", "prob_rrlyr", "truth_e", "truth_rrlyr", "period"} <= set(table.column_names)
    assert "prob_EA" not in table.column_names  # no types where one label is asked for
    first = (tmp_path / "all" / "e" / "checkpoints" / "periods" / "best.ckpt").stat().st_mtime_ns
    assert not (tmp_path / "all" / "rrlyr" / "checkpoints" / "periods").exists()
    astro_lightning(*words, folder=tmp_path, timeout=900)
    assert (tmp_path / "all" / "e" / "checkpoints" / "periods" / "best.ckpt").stat().st_mtime_ns == first

    fields = tmp_path / "fields"
    fields.mkdir()
    for name, seed in (("f1", 5), ("f2", 6)):
        pq.write_table(simulate(5, seed).drop_columns(["label", "period"]), fields / f"{name}.parquet")
    run = str(tmp_path / "all" / "e")
    astro_lightning("catalogue", str(fields), str(tmp_path / "scored"), f"xgb={run}", f"dnn={run}", folder=tmp_path)
    scored = pq.read_table(tmp_path / "scored" / "f2.parquet")
    assert scored.column_names == ["id", "prob_e_xgb", "period", "prob_e_dnn", "prob_e", "tags", "conflicts"]
    assert scored["id"].to_pylist() == pq.read_table(fields / "f2.parquet")["id"].to_pylist()


def test_a_taxonomy_without_types_needs_labels(tmp_path):
    with pytest.raises(BadInput, match="labels="):
        run_labels(str(tmp_path), ["task=scope_table"])
