"""What is put aside has no labels, and nothing of it stays with what is trained on."""

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rehearsal import Set, divide, field


def test_units_are_put_aside_whole_in_all_files_and_without_labels(tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    (data / "frames").mkdir(parents=True)
    oid = [f * 10**12 + i for f in range(10) for i in range(3)]
    whole = pa.table({"oid": oid, "label": [1] * 30, "label_2": [0] * 30, "mu": [0.5] * 30})
    pq.write_table(whole, data / "frames" / "a.parquet")
    pq.write_table(whole.take(list(range(29, -1, -1))), data / "frames" / "b.parquet")
    (data / "frames" / "notes.txt").write_text("x")
    of = Set("frames", {"a.parquet": "oid", "b.parquet": "oid"}, ("label*",), field, ("notes.txt",))
    divide(of, data, runs)
    for file in of.files:
        known, new, truth = (pq.read_table(runs / part / "frames" / file) for part in ("known", "new", "truth"))
        assert len(known) == 24 and len(new) == 6 and new.column_names == ["oid", "mu"]
        assert truth.column_names == whole.column_names and truth["oid"].equals(new["oid"])
        fields = [{i // 10**12 for i in table["oid"].to_pylist()} for table in (known, new)]
        assert fields[0].isdisjoint(fields[1]) and len(fields[1]) == 2
        assert sorted(known["oid"].to_pylist() + new["oid"].to_pylist()) == oid
    assert (runs / "known" / "frames" / "notes.txt").read_text() == "x"
    divide(of, tmp_path / "gone", runs)  # done is done
