"""Values that cannot be meant are refused before anything is read or built."""

import re
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from astro_lightning.core.ranks import devices_wanted
from astro_lightning.core.trainer import make_trainer
from astro_lightning.core.values import check_kinds, check_plain, check_values
from astro_lightning.data.errors import BadInput


def test_what_a_checkpoint_cannot_hold_is_named():
    check_plain({"a": [1, 2.5, None, ("b", True)], 3: {}}, "info")
    for value in (np.float64(1), np.zeros(2), np.int64(1), Path("x")):
        with pytest.raises(BadInput, match=r"info\['a'\]\[1\] is "):
            check_plain({"a": [0, value]}, "info")


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"seed": 1.5}, "seed=1.5: give a whole number"),
        ({"workers": True}, "workers=True"),
        ({"optimizer": {"lr": "1e-3x"}}, "optimizer.lr=1e-3x: give a number"),
        ({"optimizer": {"lr": float("nan")}}, "optimizer.lr=nan"),
        ({"task": {"calibrator": {"alpha": 1.2}}}, "alpha=1.2: give a number from 0 to 1"),
        ({"data": {"classes": "Ia"}}, "data.classes=Ia: give [[]several"),
        ({"data": {"split": 0.5}}, "data.split=0.5: give {name"),
    ],
)
def test_a_value_of_another_kind_or_range_is_named(cfg, said):
    with pytest.raises(BadInput, match=said):
        check_values(cfg)
    check_values({"optimizer": {"lr": 1, "weight_decay": None}, "data": {"split": {"train": 1.0}}})


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("task.stage.share", "abc", "a number, as 0.5"),
        ("task.stage.share", True, "a number"),
        ("task.stage.views", 1, "true or false, as true"),
        ("task.heads", "gru", "[several, values], as "),
        ("task.stage", 3, "{name: value}"),
    ],
)
def test_a_value_of_another_kind_than_the_usual_one_is_named(key, value, kind):
    def settings(key="task.stage.name", value="x"):
        cfg = OmegaConf.create({"task": {"stage": {"share": 0.5, "views": True, "norm": None}, "heads": ["a"]}})
        OmegaConf.update(cfg, key, value, merge=False)
        return OmegaConf.to_container(cfg)

    with pytest.raises(BadInput, match=re.escape(f"{key}={value}: give {kind}")):
        check_kinds(settings(key, value), settings(), [key])
    for good in (
        ("task.stage.share", 1),
        ("task.stage.share", None),
        ("task.stage.norm", "abc"),
        ("task.stage.name", 7),
    ):
        check_kinds(settings(*good), settings(), [good[0]])
    check_kinds(settings("task.stage.new", 1), settings(), ["+task.stage.new", "~task.gone"])


@pytest.mark.parametrize("devices", ["many", 0, -2])
def test_devices_are_a_number_of_them(devices):
    with pytest.raises(BadInput, match=r"trainer\.devices"):
        devices_wanted({"devices": devices, "accelerator": "cpu"})


def test_what_the_trainer_refuses_is_one_error(tmp_path):
    quiet = {"progress": "none", "summary_depth": 0, "early_stopping": {"patience": None}, "ema": {"decay": None}}
    cfg = {
        "seed": 0,
        "trainer": {"accelerator": "cpu", "strategy": "auto", "precision": "half"},
        "callbacks": quiet | dict.fromkeys(("lr_monitor", "throughput", "device_memory"), False),
        "logger": dict.fromkeys(("wandb", "tensorboard", "mlflow")),
    }
    with pytest.raises(BadInput, match=r"Precision .half. is invalid"):
        make_trainer(cfg, {"name": "x", "monitor": "val/loss", "mode": "min"}, tmp_path, [])
