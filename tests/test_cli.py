import io
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from command import astro_lightning
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from astro_lightning.__main__ import main
from astro_lightning.compose import composed
from astro_lightning.core.provenance import asked
from astro_lightning.data.errors import BadInput
from astro_lightning.words import quoted


def test_help_is_for_people_and_names_every_task(tmp_path):
    text = astro_lightning("--help", folder=tmp_path).stdout
    for word in (
        "task=plasticc_pretrain",
        "mode=predict",
        "plasticc_finetune",
        "resume=RUN_FOLDER",
        "fast_dev_run",
        "fetch",
    ):
        assert word in text


def test_a_terminal_without_bullets_ends_no_command(monkeypatch):
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["astro_lightning"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    main(["--help"])
    print("\u2022 epoch 1", flush=True)
    assert terminal.getvalue().endswith(b"? epoch 1\n")


def test_a_notebook_calls_a_command_after_one_that_failed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["notebook", "its own"])
    monkeypatch.delenv("ASTRO_LIGHTNING_RUN", raising=False)
    place = f"paths.outputs={tmp_path}"
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(SystemExit) as stopped:
        main(["task=spectra", "batch_size=0", place])
    assert stopped.value.code == 2 and "batch_size=0" in capsys.readouterr().err
    # The name of its run and what went wrong were the next command's too, and its log took what the notebook logs.
    assert "ASTRO_LIGHTNING_RUN" not in os.environ
    assert sys.argv == ["notebook", "its own"] and logging.getLogger().handlers == handlers
    with pytest.raises(SystemExit) as stopped:
        main(["task=spectra", "seed=-1", place])
    assert capsys.readouterr().err.startswith("error: seed=-1: give")
    main(["task=spectra", "--cfg", "job", place])
    assert asked() == {"overrides": [], "command": []}


def test_python_composes_what_the_command_line_does(tmp_path):
    cfg = composed("task=spectra", "seed=3", f"paths.cache={tmp_path}")
    assert (cfg["task"]["name"], cfg["seed"], cfg["paths"]["cache"]) == ("spectra", 3, str(tmp_path))
    assert "hydra" not in cfg
    for word, said in (
        ("nokey=3", "nokey"),
        ("report=maybe", "report=maybe"),
        ("trainer=2", "name of a configuration"),
    ):
        with pytest.raises(BadInput, match=said):
            composed(word)
    # No command repeats what was composed in Python; it was said to be the default task's.
    assert asked()["command"] == []


def test_the_command_that_repeats_a_run_finds_its_configurations(monkeypatch):
    places = {
        "hydra": "hydra.conf",
        "main": "/package/conf",
        "command-line": "/home/me/conf",
        "pulse": "/site/pulse/conf",
    }
    sources = [SimpleNamespace(provider=provider, path=path) for provider, path in places.items()]
    found = SimpleNamespace(
        overrides=SimpleNamespace(task=["task=mine"]),
        runtime=SimpleNamespace(cwd="/home/me", config_sources=sources),
        job=SimpleNamespace(config_name="config"),
        mode=RunMode.RUN,
    )
    monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: True))
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: found))
    assert asked()["command"][3:] == ["--config-dir=conf", "task=mine"]
    found.job.config_name = "other"
    assert asked()["command"][3:] == ["--config-dir=conf", "--config-name=other", "task=mine"]


def test_help_and_cfg_import_nothing_heavy():
    code = """
import sys
from astro_lightning.__main__ import main
try:
    main({})
except SystemExit:
    pass
print([name for name in ("torch", "pandas", "pyarrow", "matplotlib", "pytorch_lightning") if name in sys.modules])
"""
    for words in (["--help"], ["--cfg", "job"], ["tasks"]):
        finished = subprocess.run(
            [sys.executable, "-c", code.format(words)], capture_output=True, text=True, check=True
        )
        assert finished.stdout.splitlines()[-1] == "[]", words


def test_cfg_job_prints_the_composed_configuration(tmp_path):
    text = astro_lightning("task=plasticc", "optimizer.lr=3e-4", "--cfg", "job", folder=tmp_path).stdout
    assert "lr: 0.0003" in text


def test_unknown_names_are_one_line_and_exit_two(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for words, said in (
        (("task=plastic",), "there is no task=plastic (did you mean plasticc?); choose among "),
        (("optimzer.lr=1",), "did you mean optimizer.lr?"),
        (
            ("trainer.epochs=3",),
            "there is no setting trainer.epochs (did you mean max_epochs?); trainer has accelerator",
        ),
        (("task=spectra", "task.calibrator.alpha=0.1"), "with this task; another one has it"),
        (("data.reader.band=zg",), "with this data; another one has it"),
        (("--task", "plasticc"), "type task=VALUE"),
        (("seed=0,", "1"), "1 is no setting"),
        (("task", "=", "plasticc"), "no blanks"),
        (("data.split={train:", "a=b"), "in quotes"),
        (("task=plasticc,spectra",), "add -m"),
        (("data.path=x",), "data.root=FOLDER"),
        (("data.root=x",), "data=simulated is made, not read"),
        (("task=scope", "folds=3"), "type task.folds="),
        (("task=scope", "task.label=e"), "type label="),
        (
            ("task.trainer.max_epochs=1",),
            "task.trainer.max_epochs= is no setting of the task: type trainer.max_epochs=",
        ),
        (("model=3", "seed=1"), "model=3: type the name"),
        (("trainer=null",), "trainer=null: type the name"),
        (("~optimizer",), "~optimizer: a run needs this"),
        (("~callbacks.ema",), "~callbacks.ema: a run needs this"),
        (("data.split=null",), "data.split=null: this is needed"),
        (("-m", "seed=0,1", "--cfg", "job"), "leave -m"),
        (("optimizer=null",), "optimizer=null: this is needed"),
        (("trainer.max_epochs=0",), "trainer.max_epochs=0: give a whole number from 1 on, or -1"),
        (("optimizer.lr=inf",), "optimizer.lr=inf"),
        (("optimizer.factor=abc",), "optimizer.factor=abc: give a number"),
        (("task.stages.finetune.optimizer.lr=-1",), "task.stages.finetune.optimizer.lr=-1"),
        (("tsks",), "(did you mean tasks?) is neither a verb"),
        (("predict", "x"), "mode=predict"),
        (("mode=fti",), "choose fit, validate"),
        (("mode=predict", "data.path=x"), "needs ckpt="),
        (("batch_size=many",), "batch_size=many: give a whole number"),
        (("optimizer.lr=-1",), "optimizer.lr=-1"),
        (
            ("task.stages.finetune.trainer.max_epochs=many",),
            "task.stages.finetune.trainer.max_epochs=many: give a number",
        ),
        (("mode=predict", "ckpt=é (copy)=2.ckpt", "data.path=x"), "é (copy)=2.ckpt does not exist"),
        (("hydra.run.dir=/dev/null/run",), "/dev/null"),
        (("ckpt=x", "out=y.parquet"), "give mode=predict"),
        (("mode=test", "ckpt=x", f"hydra.run.dir={tmp_path}"), "would write over"),
        (("mode=predict", "ckpt=absent.ckpt", "data.path=x"), "absent.ckpt does not exist"),
    ):
        finished = astro_lightning(*words, folder=tmp_path, expect=2)
        lines = finished.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0], finished.stderr


def test_tasks_and_datasets_say_where_their_data_come_from(tmp_path):
    (tmp_path / "plasticc" / "mallorn").mkdir(parents=True)
    text = astro_lightning("datasets", folder=tmp_path, ASTRO_LIGHTNING_DATA=str(tmp_path)).stdout
    assert f"here: {tmp_path}/plasticc/mallorn" in text
    assert "made on the spot" in text
    assert "astro-lightning fetch plasticc" in text
    assert "conf/task/plasticc.yaml" in astro_lightning("tasks", folder=tmp_path).stdout


def test_fetch_without_a_download_or_a_name_says_so(tmp_path):
    assert "unknown" in astro_lightning("fetch", "nothing", folder=tmp_path, expect=2).stderr
    assert "no published download" in astro_lightning("fetch", "simulated", folder=tmp_path, expect=2).stderr


def test_data_that_are_nowhere_are_said_in_one_line_each_time(tmp_path):
    words = ("data=mallorn", "trainer=cpu", "callbacks=quiet", f"hydra.run.dir={tmp_path / 'run'}")
    for _ in range(2):  # what has not begun to train is no run that the second attempt could overwrite
        finished = astro_lightning(*words, folder=tmp_path, expect=2)
        error = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
        assert len(error) == 1 and "data.root=FOLDER" in error[0] and "data=simulated" in error[0]


def test_tab_completes_settings_and_choices(tmp_path):
    finished = astro_lightning("-sc", "query=bash", folder=tmp_path, COMP_LINE="astro-lightning task=", COMP_POINT="21")
    assert "task=plasticc_pretrain" in finished.stdout.split(), finished.stdout


def test_convert_writes_light_curves_as_parquet_and_says_what_it_cannot_do(tmp_path):
    import pyarrow.parquet as pq

    survey = tmp_path / "survey"
    survey.mkdir()
    (survey / "training_set.csv").write_text(
        "object_id,mjd,passband,flux,flux_err,detected\n7,59800.5,2,10.0,1.0,1\n7,59801.5,1,11.0,1.0,1\n"
    )
    (survey / "training_set_metadata.csv").write_text(
        "object_id,ddf,hostgal_specz,hostgal_photoz,hostgal_photoz_err,mwebv,target\n7,1,0.1,0.1,0.01,0.02,90\n"
    )
    part = astro_lightning("convert", "plasticc", str(survey), str(tmp_path / "out"), folder=tmp_path).stdout.split()[0]
    assert pq.read_table(part)["mjd"].to_pylist() == [[59800.5, 59801.5]]
    from astro_lightning.data.surveys.plasticc import Plasticc

    (raw,), (converted,) = Plasticc().read(survey), Plasticc().read(tmp_path / "out")
    assert converted.equals(raw)
    again = astro_lightning(
        "convert", "plasticc", str(tmp_path / "out"), str(tmp_path / "out"), folder=tmp_path, expect=2
    )
    assert "which the parts would hide" in again.stderr
    assert "takes an input" in astro_lightning("convert", "plasticc", folder=tmp_path, expect=2).stderr
    assert "nothing to convert" in astro_lightning("convert", "catalina", "a", "b", folder=tmp_path, expect=2).stderr


def test_compare_of_what_are_no_runs_is_one_line(tmp_path):
    assert "two or more" in astro_lightning("compare", str(tmp_path), folder=tmp_path, expect=2).stderr
    said = astro_lightning("compare", str(tmp_path), str(tmp_path), folder=tmp_path, expect=2).stderr
    assert said.startswith("error: ") and len(said.splitlines()) == 1


def test_features_of_a_catalogue_are_one_row_an_object(tmp_path):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(54000, 55000, 80)) for _ in range(3)]
    lists = {
        "mjd_1e6": [np.round(t * 1e6).astype(np.int64) for t in times],
        "mag_1e4": [np.round((15 + np.sin(t)) * 1e4).astype(np.int64) for t in times],
        "magerr_1e4": [np.full(80, 200)] * 3,
    }
    pq.write_table(
        pa.table({"id": ["a", "b", "c"], **{k: pa.array(list(map(list, v))) for k, v in lists.items()}}),
        tmp_path / "c.parquet",
    )
    astro_lightning("features", str(tmp_path / "c.parquet"), str(tmp_path / "f.parquet"), folder=tmp_path)
    table = pq.read_table(tmp_path / "f.parquet")
    assert table["id"].to_pylist() == ["a", "b", "c"] and "stetson_j" in table.column_names
    np.testing.assert_allclose(table["median"].to_numpy(), [np.median(15 + np.sin(t)) for t in times], atol=1e-3)


@pytest.mark.parametrize("name", ["2019_01_10", "1e5", "true", "7", "night 3", "a=b"])
def test_folders_may_be_called_like_numbers(name):
    found = OverridesParser.create().parse_override(quoted(f"out={name}")).value()
    assert getattr(found, "text", found) == name


def test_options_that_are_neither_true_nor_false_are_refused(tmp_path):
    finished = astro_lightning("catalogue", "in", "out", "xgb=run", "correct=yes", folder=tmp_path, expect=2)
    assert finished.stderr == "error: correct=yes: give true or false\n"
    words = ("score", "in.parquet", "--ckpt", "run", "--out", "o.parquet", "--memory-gib", "0")
    assert "--memory-gib 0: give a number above 0" in astro_lightning(*words, folder=tmp_path, expect=2).stderr


def test_a_name_that_is_too_long_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["mode=predict", f"ckpt={tmp_path}", f"data.path={'a' * 300}", f"paths.outputs={tmp_path}"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error and "Traceback" not in error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nSee the documentation"),
    ],
)
@pytest.mark.parametrize("words", [["tasks"], ["task=spectra"]])
def test_memory_that_does_not_suffice_is_one_line(tmp_path, monkeypatch, capsys, error, words):
    def exhausted(*_):
        raise error

    monkeypatch.setattr("astro_lightning.verbs.tasks.main", exhausted)
    monkeypatch.setattr("astro_lightning.core.values.check_values", exhausted)
    with pytest.raises(SystemExit) as stopped:
        main([*words, *([f"paths.outputs={tmp_path}"] if "=" in words[0] else [])])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: the memory does not suffice") and "batch_size=" in said and "\n" not in said
