"""A run folder that scores, in a second: the predicting networks of a task with their first, random weights."""

import json
from pathlib import Path

import torch
import yaml
from hydra import compose, initialize_config_dir

from astro_lightning.compose import plain
from astro_lightning.core.conf import conf_folder
from astro_lightning.core.stages import make_datamodule, make_module, stages_of
from astro_lightning.predict.calibrate import calibrate

# Small networks of every task, on twins of some dozen objects.
TASKS = {
    "plasticc": (
        "task=plasticc_finetune", "data.simulation.n_objects=60", "model.d_model=16", "model.n_heads=2", "model.n_layers=1",
    ),
    "trees": (
        "task=plasticc_trees", "data.simulation.n_objects=60", "task.stages.models=[trees]",
        "data.split={train: 0.5, val: 0.1, calibration: 0.3, test: 0.1}",
    ),
    "spectra": ("task=spectra", "model.width=4", "data.simulation.n_objects=60"),
    "stamps": (
        "task=rb_c1000", "data.simulation.n_objects=60", "+data.simulation.side_px=21", "task.sets.n_labelled=20",
        "task.sets.n_pool=20", "task.loop.n_select=4", "task.rounds=[]", "task.baselines=false",
        "task.learner.network.model.stem=small", "task.learner.network.model.width=4",
    ),
    "frames": ("task=rb_rnn", "data.simulation.n_objects=60", "task.n_folds=3", "task.folds=[0]", "task.heads=[attention]"),
    "scope": ("task=scope", "data.simulation.n_objects=40"),
}  # fmt: skip


def settings(folder: Path, *words: str) -> dict:
    """The configuration of a run with its cache below `folder`; `words` as on the command line."""
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        return plain(compose("config", [*words, f"paths.cache={folder / 'cache'}", "+run=x"]))


def untrained(folder: Path, *words: str) -> Path:
    """Write the run folder; `words` as on the command line."""
    cfg = settings(folder, *words, "trainer=cpu")
    files = []
    for stage in (stage for stage in stages_of(cfg) if stage["predicts"]):
        datamodule = make_datamodule(cfg, stage)
        module = make_module(cfg, stage, datamodule.info())
        module.configure_model()
        kinds = {
            name: f"{type(made).__module__}.{type(made).__qualname__}"
            for name, made in (("module", module), ("datamodule", datamodule))
        }
        identity = {"task": cfg["task"]["name"], "stage": stage["name"], "batch_size": datamodule.batch_size, **kinds}
        identity["train_hashes"] = torch.from_numpy(datamodule.train_hashes().view("int64").copy())
        files.append(folder / "checkpoints" / stage["name"] / "best.ckpt")
        files[-1].parent.mkdir(parents=True)
        content = {
            "state_dict": module.state_dict(),
            "hyper_parameters": dict(module.hparams),
            "astro_lightning": identity,
        }
        module.on_save_checkpoint(content)
        torch.save(content, files[-1])
    index = [str(file.relative_to(folder)) for file in files]
    (folder / "checkpoints" / "predicting.json").write_text(json.dumps(index))
    (folder / "config.yaml").write_text(yaml.safe_dump(cfg))
    calibrate(cfg, folder, "cpu")
    return folder
