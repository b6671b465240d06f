import json

import pytest
import torch
from command import TINY, astro_lightning, run_folder

from astro_lightning.core.build import build, class_of, reader_of
from astro_lightning.core.calibration import read_calibration
from astro_lightning.core.checkpoint import predicting_checkpoints, read_checkpoint, restore
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput


def test_a_missing_a_cut_and_a_foreign_file_are_each_said(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_checkpoint(tmp_path / "absent.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(BadInput, match="not written by Astro Lightning"):
        read_checkpoint(tmp_path / "foreign.ckpt")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "foreign.ckpt").read_bytes()[:200])
    for kept in (200, 0):
        (tmp_path / "cut.ckpt").write_bytes((tmp_path / "foreign.ckpt").read_bytes()[:kept])
        with pytest.raises(BadInput, match="cut short"):
            read_checkpoint(tmp_path / "cut.ckpt")


@pytest.mark.parametrize(
    "content", [b"hello", b"root:x:0:0", b"a" * 600, b"version https://git-lfs.github.com/spec/v1"]
)
def test_text_under_the_name_of_a_checkpoint_or_a_calibration_is_said(tmp_path, content):
    (tmp_path / "checkpoints").mkdir()
    for name in ("best.ckpt", "calibration.pt"):
        (tmp_path / "checkpoints" / name).write_bytes(content)
    with pytest.raises(BadInput, match=r"best\.ckpt cannot be read"):
        read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    with pytest.raises(BadInput, match=r"calibration\.pt cannot be read"):
        read_calibration(tmp_path)


def test_weights_that_changed_on_the_way_are_refused(tmp_path):
    weights = torch.arange(1000.0)
    path = tmp_path / "best.ckpt"
    torch.save({"astro_lightning": {}, "hyper_parameters": {}, "state_dict": {"weight": weights}}, path)
    assert read_checkpoint(path)["state_dict"]["weight"].equal(weights)
    path.write_bytes(path.read_bytes().replace(torch.tensor(500.0).numpy().tobytes(), b"\0\0\0\0"))
    with pytest.raises(BadInput, match=r"best\.ckpt cannot be read .*damaged"):
        read_checkpoint(path)


def test_code_inside_a_checkpoint_never_runs(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"astro_lightning": {}, "x": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(BadInput, match="more than plain numbers"):
        read_checkpoint(tmp_path / "trap.ckpt")
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_cannot_name_any_class_it_likes():
    with pytest.raises(BadInput, match="refusing"):
        class_of("subprocess.Popen", TaskModule)


def test_a_checkpoint_cannot_name_any_network_or_reader_it_likes(tmp_path):
    # PyTorch's own way to code from anywhere takes whatever further arguments it is given.
    (tmp_path / "hubconf.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\ndef network(**_): pass")
    block = {"_target_": "torch.hub.load", "repo_or_dir": str(tmp_path), "model": "network", "source": "local"}
    identity = {"module": "astro_lightning.core.task.TaskModule"}
    settings = {"model": block, "optimizer": {}, "info": {"classes": ["a", "b"]}}
    content = {"astro_lightning": identity, "hyper_parameters": settings, "state_dict": {}}
    torch.save(content, tmp_path / "trap.ckpt")
    with pytest.raises(BadInput, match=r"torch\.hub\.load"):
        restore(tmp_path / "trap.ckpt")
    for target in (block, {"_target_": "subprocess.Popen", "args": ["true"]}):
        with pytest.raises(BadInput, match=target["_target_"]):
            reader_of(target, 1.0)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_cannot_name_as_its_reader_a_class_that_opens_files(tmp_path):
    (tmp_path / "mine").write_text("precious")
    block = {"_target_": "fsspec.implementations.local.LocalFileOpener", "path": str(tmp_path / "mine"), "mode": "wb"}
    with pytest.raises(BadInput, match="LocalFileOpener has no method"):
        reader_of(block | {"fs": None}, 1.0)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_folder_that_is_no_finished_run_says_how_to_finish_it(tmp_path):
    with pytest.raises(BadInput, match="resume="):
        predicting_checkpoints(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for damaged in ("", "{"):
        (tmp_path / "checkpoints" / "predicting.json").write_text(damaged)
        with pytest.raises(BadInput, match=r"predicting\.json.*damaged"):
            predicting_checkpoints(tmp_path)


def test_a_misspelt_key_names_the_target():
    with pytest.raises(BadInput, match=r"torch\.nn\.Linear.*widht"):
        build({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2, "widht": 3})


def test_an_error_inside_a_target_names_its_line():
    with pytest.raises(BadInput, match=r"statistics\.mean: .* \(statistics\.py, line \d+\)$"):
        build({"_target_": "statistics.mean", "data": 3})
    with pytest.raises(BadInput, match=r"'datum'$"):
        build({"_target_": "statistics.mean", "datum": 3})


@pytest.mark.slow
def test_every_checkpoint_of_a_run_is_plain_and_carries_the_fingerprint(tmp_path):
    astro_lightning("task=plasticc", *TINY, "trainer.max_epochs=1", "report=false", folder=tmp_path)
    run = run_folder(tmp_path)
    data = json.loads((run / "provenance.json").read_text())["data"]
    files = sorted(run.glob("checkpoints/*/*.ckpt"))
    assert [file.name for file in files] == ["best.ckpt", "last.ckpt"] * 2
    for file in files:
        content = read_checkpoint(file)
        info = content["hyper_parameters"]["info"]
        assert len(content["astro_lightning"]["train_hashes"]) == info["splits"]["train"]
    assert info["content_sha256"] == data["content_sha256"] and info["split_sha256"] == data["split_sha256"]
