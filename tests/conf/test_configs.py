"""Every configuration composes, and every `_target_` block fits its target, so that a misspelt key fails before training."""

import inspect
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object
from omegaconf import OmegaConf

from astro_lightning.compose import plain
from astro_lightning.core.conf import GROUP, conf_folder, plugin_folders
from astro_lightning.core.stages import stages_of
from astro_lightning.data.errors import BadInput
from astro_lightning.run import run

CONF = conf_folder()
INJECTED = {
    "datamodule": {"data", "cache", "seed", "workers", "simulate", "batch_size"},
    "module": {"model", "optimizer", "info", "monitor", "mode"},
    "model": {"n_classes"},
}
# What a network learns from the data, given by its module.
FROM_DATA = {"n_classes", "n_bands", "in_channels", "n_features", "extra_features"}


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def hydra_with_plugins():
    from astro_lightning.sweeper import register

    register()
    OmegaConf.register_new_resolver("run_name", lambda: "test", replace=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


def composed(*words):
    cfg = compose("config", list(words))
    return plain(cfg)


def blocks(node, path=""):
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from blocks(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from blocks(value, f"{path}[{i}]")


def accepted(target):
    """Parameter names of a callable, those of its bases included where it passes keywords on; None = anything."""
    found = get_object(target)
    known = set()
    for owner in found.__mro__ if inspect.isclass(found) else [found]:
        if inspect.isclass(owner) and "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(owner).parameters.values()
        known |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known
    return known


def check_targets(cfg):
    for path, block in blocks(cfg):
        given = set(block) - {"_target_"}
        known = accepted(block["_target_"])
        assert given <= known, f"{path}: {block['_target_']} takes no {sorted(given - known)}; it takes {sorted(known)}"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group, name)
        for group in ("trainer", "logger", "callbacks", "debug", "data", "task", "experiment", "sweep", "paths")
        for name in names(group)
    ],
)
def test_composes_and_every_target_takes_its_keys(group, name):
    cfg = composed(f"{group}={name}")
    check_targets(cfg)
    assert stages_of(cfg)


@pytest.mark.parametrize("name", names("model"))
def test_network_takes_its_keys(name):
    check_targets({"model": composed(f"model={name}")["model"]})


@pytest.mark.parametrize("name", names("task"))
def test_stages_take_what_the_run_gives_them(name):
    cfg = composed(f"task={name}")
    assert cfg["task"]["name"] == name
    for stage in stages_of(cfg):
        for kind in ("datamodule", "module"):
            known = accepted(stage[kind]["_target_"])
            missing = INJECTED[kind] - known
            assert not missing, f"{name}.{stage['name']}.{kind} does not take {missing}"


def test_a_misspelt_key_is_caught():
    cfg = composed("task=plasticc")
    cfg["task"]["stages"]["finetune"]["module"]["frozn"] = True
    with pytest.raises(AssertionError, match="frozn"):
        check_targets(cfg)


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_first_comment_says_what_it_is_and_how_to_run_it(file):
    comments = [line for line in file.read_text().splitlines()[:2] if line.startswith("#") and "@package" not in line]
    assert comments, f"{file} has no comment in its first lines"
    if file.parent.name in ("task", "experiment", "data", "model", "trainer", "sweep") and file.stem != "none":
        assert "   " in comments[0] and "=" in comments[0].split("   ")[1], (
            f"{file}: the comment does not show how to type it"
        )


def test_every_key_of_the_root_has_a_comment():
    for line in (CONF / "config.yaml").read_text().splitlines():
        if line and not line.startswith((" ", "#", "hydra", "defaults")) and not line.endswith(":"):
            assert "#" in line, line


def test_a_plug_in_that_cannot_be_imported_is_named(monkeypatch):
    broken = EntryPoint("pulse", "no_such_package.conf", GROUP)
    monkeypatch.setattr("astro_lightning.core.conf.entry_points", lambda group: [broken])
    with pytest.raises(BadInput, match=r"plug-in pulse cannot be imported .*no_such_package"):
        plugin_folders()


def test_conf_folder_is_found():
    assert (Path(CONF) / "config.yaml").exists()


def test_a_relative_root_means_the_folder_in_which_the_run_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = composed("task=plasticc", "data=plasticc", "data.root=here", "trainer=cpu", "ckpt=x")
    with pytest.raises(BadInput, match="ckpt="):
        run(cfg, tmp_path / "run")
    assert cfg["data"]["root"] == str(tmp_path / "here")
