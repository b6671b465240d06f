"""A checkpoint is there whole or not at all."""

from types import SimpleNamespace

import pytest
import torch

from astro_lightning.core.calibration import write_calibration
from astro_lightning.core.whole import WholeCheckpoints


def test_a_save_that_fails_leaves_the_last_one_and_nothing_beside_it(tmp_path, monkeypatch):
    saved, place = WholeCheckpoints(), tmp_path / "run" / "last.ckpt"
    saved.save_checkpoint({"epoch": 1}, place)

    def full(content, file):
        file.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data.pkl: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"last\.ckpt: PytorchStreamWriter failed"):
        saved.save_checkpoint({"epoch": 2}, place)
    assert [file.name for file in place.parent.iterdir()] == ["last.ckpt"]
    assert saved.load_checkpoint(place, weights_only=True) == {"epoch": 1}
    with pytest.raises(OSError, match=r"calibration\.pt: PytorchStreamWriter failed"):
        write_calibration(SimpleNamespace(state=dict), tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())
