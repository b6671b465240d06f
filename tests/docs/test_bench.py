"""The measuring verb says what it cannot measure, and why."""

import pytest
import yaml

from astro_lightning.__main__ import main
from benchmarks import gpu, results
from benchmarks.__main__ import SPEED, TABLES, quality, settings, speed, table

HOW = ("float32", "bfloat16", "float32, compiled", "bfloat16, compiled")


def test_an_unknown_word_is_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "galaxies"])
    assert stopped.value.code == 2
    assert "'galaxies' is not measured; choose among plasticc, spectra" in capsys.readouterr().err


def test_an_experiment_is_measured_again_as_its_file_says():
    kept = {
        "command": "python -m astro_lightning -m experiment=x 'task.heads=[a,b]' seed=0,1 'data.split_seed=${seed}'"
    }
    assert settings("x", kept) == ["experiment=x", "task.heads=[a,b]"]
    assert settings("x", {}) == ["experiment=x", "trainer=cpu"]


def test_sets_that_are_not_here_are_skipped_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASTRO_LIGHTNING_DATA", str(tmp_path))
    monkeypatch.setenv("ASTRO_LIGHTNING_CACHE", str(tmp_path))
    quality("rb_embeddings_random", [])  # no experiment of this name, but a file that has its command
    quality("plasticc", [])
    speed("rb_speed", [], "realbogus/avro")
    table("spectra_quality")
    table("rb_recurrent")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("rb_embeddings_random: skipped, error: files of snad_embeddings not found")
    assert said[1:4] == [
        "plasticc: skipped, there is no experiment of this name",
        "rb_speed: skipped, needs realbogus/avro below ASTRO_LIGHTNING_DATA",
        "spectra_quality: skipped, it takes finished runs of spectra_real",
    ]
    assert said[4].startswith("rb_recurrent: skipped,") and "files of snad_embeddings not found" in said[4]


def test_every_row_of_the_page_has_a_script_that_measures_it():
    sections = yaml.safe_load((results.HERE / "published.yaml").read_text())
    cells = [(section["task"], row["cell"][0]) for section in sections for row in section["rows"] if "cell" in row]
    assert {topic for task, topic in cells if task != "speed"} == set(TABLES)
    assert {topic for task, topic in cells if task == "speed"} <= set(SPEED)
    for script in [*TABLES, *SPEED]:
        assert (results.HERE / f"{script}.py").exists()


@pytest.mark.parametrize("case", ["rb_vae", "scope_table"])
def test_networks_are_timed_as_they_are_and_compiled(case, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "compile_networks", lambda module: None)  # a minute; tests/core/test_compiled.py does it
    gpu.main([case, "--device", "cpu", "--steps", "1", "--objects", "8"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines() if line.startswith(case)]
    assert [row[0] for row in rows] == [f"{case}, {how}" for how in HOW]
    assert all(float(value) > 0 for row in rows for value in row[1:])
