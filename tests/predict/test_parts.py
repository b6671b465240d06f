"""Files of any size: parts outlive a kill, several processes give the same file, whole-file columns see the whole file."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import clean_environment, command
from untrained import TASKS, untrained

from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.predict import parts
from astro_lightning.predict.files import predict_file
from astro_lightning.predict.modes import as_trained
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.scope.module import ScopeModule
from astro_lightning.tasks.spectra.simulate import simulate
from astro_lightning.verbs.score import main

N = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("run"), *TASKS["spectra"])


@pytest.fixture
def spectra(tmp_path):
    """A file of noise in the layout of the spectra that training reads."""
    return write_spectra(tmp_path / "in.parquet", N)


def write_spectra(file, n):
    rng = np.random.default_rng(0)
    flux = rng.normal(1, 0.1, (n, 2600)).astype(np.float32)
    lists = {"flux": list(flux), "ivar": list(np.full_like(flux, 100))}
    pq.write_table(pa.table({"objid": np.arange(n)[::-1].copy(), **lists}), file, row_group_size=1000)
    return file


def score(source, run, out, *words):
    main([str(source), "--ckpt", str(run), "--out", str(out), *words])
    return pq.read_table(out)


def test_a_stopped_call_goes_on_and_scores_nothing_twice(run, spectra, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "OBJECTS", 8)
    whole = score(spectra, run, tmp_path / "whole.parquet")
    assert whole["id"].to_pylist() == list(range(N))[::-1]
    out, done, original = tmp_path / "out.parquet", [], parts.score_part

    def score_part(scorer, table, file):
        if len(done) == 2:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(original(scorer, table, file))

    monkeypatch.setattr(parts, "score_part", score_part)
    with pytest.raises(KeyboardInterrupt):
        score(spectra, run, out)
    assert not out.exists()
    assert score(spectra, run, out).equals(whole)
    assert len(done) == 3 + 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet", "whole.parquet"]


def test_another_input_or_checkpoint_begins_anew(run, spectra, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "OBJECTS", 8)
    out, original, done = tmp_path / "out.parquet", parts.score_part, []

    def score_part(scorer, table, file):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(original(scorer, table, file))

    with monkeypatch.context() as patched:
        patched.setattr(parts, "score_part", score_part)
        with pytest.raises(KeyboardInterrupt):
            score(spectra, run, out)
    assert len(list(tmp_path.glob(".out.parquet.parts-*/*"))) == 2
    write_spectra(spectra, 5)
    assert score(spectra, run, out).num_rows == 5
    assert not list(tmp_path.glob(".out.parquet.*"))


@pytest.mark.slow
def test_two_processes_killed_in_the_middle_go_on_to_the_same_file(run, tmp_path):
    source = write_spectra(tmp_path / "in.parquet", 2600)
    out = tmp_path / "out.parquet"
    words = command("score", str(source), "--ckpt", str(run), "--out", str(out), "--workers", "2", folder=tmp_path)
    running = subprocess.Popen(words, env=clean_environment(tmp_path))
    while len(list(tmp_path.glob(".out.parquet.parts-*/0*.parquet"))) < 2:
        assert running.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not psutil.wait_procs(workers, timeout=60)[1], "workers outlive their parent"
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".out.parquet.parts-*/0*.parquet")}
    assert not out.exists() and 2 <= len(kept) < 6
    kept_now = []
    original = parts.finished

    def finished(scorer, files, memory_gib):
        kept_now.extend(path.stat().st_mtime_ns == before for path, before in kept.items())
        return original(scorer, files, memory_gib)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("astro_lightning.predict.files.finished", finished)
        found = score(source, run, out)
    assert all(kept_now) and len(kept_now) == len(kept)
    assert found.equals(score(source, run, tmp_path / "whole.parquet"))
    assert found["id"].to_pylist() == list(range(2600))[::-1]


def test_whole_file_columns_are_made_over_all_parts_or_said_to_be_over_blocks(
    run, spectra, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(parts, "OBJECTS", 8)
    scorer = Scorer(run, exact=True)

    def finish(cls, predictions, info):
        first = predictions["id"].to_numpy().min()
        return predictions.append_column("first", pa.array(np.full(len(predictions), first)))

    monkeypatch.setattr(type(scorer.members[0].module), "finish", classmethod(finish))
    data = scorer.info["data"] | {"path": str(spectra)}
    predict_file(scorer, data, tmp_path / "a.parquet")
    assert set(pq.read_table(tmp_path / "a.parquet")["first"].to_pylist()) == {0} and "blocks" not in caplog.text
    blocks = list(parts.finished(scorer, _parts(scorer, data, tmp_path), 1e-9))
    assert [table["first"][0].as_py() for table in blocks] == [32, 24, 16, 8, 0]
    assert "5 blocks" in caplog.text


def _parts(scorer, data, folder):
    from astro_lightning.predict.files import read_input

    return parts.score_parts(scorer, read_input(data, scorer), folder / "parts")


def test_bad_words_and_bad_input_are_one_line_and_leave_nothing(run, spectra, tmp_path):
    out = tmp_path / "out.parquet"
    for words, said in (
        (["--task", "scope"], "of task spectra"),
        (["--workers", "two"], "workers"),
        (["--device", "tpu"], "--device"),
        (["--data", "nowhere"], "nowhere"),
    ):
        with pytest.raises(BadInput, match=said):
            score(spectra, run, out, *words)
    with pytest.raises(BadInput, match="does not exist"):
        score(tmp_path / "absent.parquet", run, out)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(BadInput, match=r"folder\.parquet is a folder"):
        score(spectra, run, tmp_path / "folder.parquet")
    (tmp_path / "folder.parquet").rmdir()
    empty = write_spectra(tmp_path / "empty.parquet", 0)
    with pytest.raises(BadInput, match=r"empty\.parquet holds no object"):
        score(empty, run, out)
    empty.unlink()
    spectra.write_bytes(spectra.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"in\.parquet"):
        score(spectra, run, out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_objects_in_which_nothing_is_measured_or_of_one_id_are_scored_and_counted(run, spectra, tmp_path, caplog):
    table = pq.read_table(spectra).to_pandas()
    table.at[3, "flux"] = np.full(2600, np.nan, np.float32)
    table.loc[5, "objid"] = table.loc[4, "objid"]
    table.to_parquet(spectra)
    assert score(spectra, run, tmp_path / "out.parquet").num_rows == N
    assert f"1 of {N} objects hold not one usable value" in caplog.text
    assert f"1 of {N} rows have the id of another row" in caplog.text


def test_what_was_trained_on_is_looked_up_and_not_sorted_for_each_part(run, monkeypatch):
    scorer = Scorer(run)
    (member,) = scorer.members
    hashes = member.train_hashes
    assert len(hashes) > 10 and (np.diff(hashes) > 0).all()
    scorer.members.append(replace(member, train_hashes=hashes[:0]))
    monkeypatch.setattr(np, "isin", lambda *arguments: pytest.fail("it sorts all of them"))
    assert scorer.seen_in_training(np.append(hashes[[7, 2]], [np.uint64(3), hashes[7]])) == 3
    assert scorer.seen_in_training(hashes, scorer.members[1:]) == 0


def test_an_exact_scorer_asks_its_calibration_in_batches_that_are_always_full(run):
    scorer, asked = Scorer(run, exact=True), []

    def columns(evidence, pairs):
        asked.append(evidence[0].logits[:, 0].astype(np.float64))
        return {"first": asked[-1]}

    scorer.calibration = SimpleNamespace(columns=columns)
    records = Records.from_table(simulate(100, 0))
    table = scorer.score(records)
    assert [len(one) for one in asked] == [64, 64] and len(table) == 100
    assert table["first"].to_pylist() == np.concatenate(asked)[:100].tolist()
    assert (asked[1][36:] == asked[0][0]).all()
    assert scorer.score(records, np.array([41]))["first"].to_pylist() == [asked[0][41]]


def test_what_the_networks_say_of_a_large_table_is_calibrated_block_by_block(run, monkeypatch):
    scorer, asked = Scorer(run), []
    scorer.calibration = SimpleNamespace(columns=lambda evidence, pairs: asked.append(len(evidence[0].label)) or {})
    records, rows = Records.from_table(simulate(50, 0)), np.arange(50)[::-1]
    whole = scorer.score(records, rows)
    monkeypatch.setattr("astro_lightning.predict.score.CALIBRATED", 20)
    found = scorer.score(records, rows)
    assert asked == [50, 20, 20, 10] and found["id"].to_pylist() == records.ids[::-1].tolist()
    assert found.schema == whole.schema


def test_a_run_keeps_its_task_and_takes_the_memory_it_is_given(run):
    base = {"mode": "predict", "ckpt": str(run), "task": {"name": "scope"}, "data": {"path": "x", "memory_gib": 7}}
    assert as_trained(base, ["data.path=x", "data.memory_gib=7"])["data"]["memory_gib"] == 7
    assert as_trained(base, ["data.path=x"])["data"]["memory_gib"] == 2
    with pytest.raises(BadInput, match=r"task=scope: .* is of task spectra"):
        as_trained(base, ["task=scope"])


def test_a_missing_extra_is_named(run, tmp_path, monkeypatch):
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    (catalogue / "hats.properties").touch()
    for package, source, extra in (
        ("lsdb", str(catalogue), "catalogue"),
        ("confluent_kafka", "kafka://127.0.0.1:1/alerts", "stream"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BadInput, match=rf"astro-lightning\[{extra}\]"):
            main([source, "--ckpt", str(run), "--out", str(tmp_path / "out")])


def test_columns_made_over_all_objects_come_back_to_their_own_rows():
    ids = np.array([4, 0, 3, 1, 2])

    def finish(table):
        return table.append_column("place", pa.array(np.arange(len(table))))

    for kind in (pa.int64(), pa.string()):
        table = pa.table({"id": pa.array(ids).cast(kind), "score": ids / 10})
        found = parts.finish_in_order(SimpleNamespace(finish=finish), table)
        assert found.select(["id", "score"]).equals(table)
        assert found["place"].to_pylist() == ids.tolist()


def test_finished_blocks_are_cut_into_the_files_they_were_made_of(tmp_path):
    (tmp_path / "done").mkdir()
    for name, ids in (("b", [4, 0]), ("a", [3]), ("c", [1, 2, 5])):
        pq.write_table(pa.table({"id": ids}), tmp_path / f"{name}.parquet")
    scorer = SimpleNamespace(needs_whole=True, finish=lambda table: table.append_column("twice", [[0, 2, 4, 6, 8, 10]]))
    parts.finish_in_blocks(scorer, [tmp_path / f"{name}.parquet" for name in "bac"], 1.0, tmp_path / "done")
    found = {name: pq.read_table(tmp_path / "done" / f"{name}.parquet").to_pydict() for name in "abc"}
    assert {name: table["id"] for name, table in found.items()} == {"a": [3], "b": [4, 0], "c": [1, 2, 5]}
    assert {name: table["twice"] for name, table in found.items()} == {"a": [6], "b": [8, 0], "c": [2, 4, 10]}


def test_columns_of_a_block_follow_their_names_and_not_their_places(tmp_path):
    for name, columns in (("a", {"id": [1], "x": [0.1], "y": [0.9]}), ("b", {"id": [2], "y": [0.7], "x": [0.3]})):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    scorer = SimpleNamespace(needs_whole=True, finish=lambda table: table)
    found = pa.concat_tables(parts.finished(scorer, [tmp_path / "a.parquet", tmp_path / "b.parquet"], 1e-9))
    assert found.to_pydict() == {"id": [1, 2], "x": [0.1, 0.3], "y": [0.9, 0.7]}


def test_members_are_averaged_but_for_what_has_no_mean(run):
    scorer = Scorer(run)
    scorer.members[0].module.not_averaged = ScopeModule.not_averaged
    periods, probabilities = np.array([[0.5, 2.0], [1.0, 4.0]]), np.array([[0.2, 0.6], [0.4, 1.0]], np.float32)
    merged = scorer._merged([{"period": period, "prob_e": p} for period, p in zip(periods, probabilities)])
    assert merged["period"].tolist() == [0.5, 2.0]  # the mean of a period and its double is the period of nothing
    assert merged["prob_e"].tolist() == pytest.approx([0.3, 0.8])


def test_a_base_task_needs_no_whole_table(run):
    scorer = Scorer(run)
    assert scorer.needs_whole
    scorer.members[0].module = TaskModule(model={}, optimizer={}, info={"classes": ["a", "b"], "counts": [1, 1]})
    assert not scorer.needs_whole


def test_identifiers_of_two_types_are_named(tmp_path):
    tables = [pa.table({"id": [1]}), pa.table({"id": ["a"]})]
    scorer = SimpleNamespace(arguments=())
    (tmp_path / "00000000.parquet").touch()  # the first is scored already
    with pytest.raises(BadInput, match="identifiers are int64 in one file and string in another: use one type"):
        parts.score_parts(scorer, tables, tmp_path)
