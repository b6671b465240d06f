"""The stages of cross-validation: every chosen head on every fold."""

from collections.abc import Mapping
from typing import Any

from astro_lightning.data.errors import BadInput

ENCODED = "astro_lightning.tasks.rb_vae_rnn.encoded.EncodedModule"


def fold_stages(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One stage for each head and fold, all predicting: heads of one fold are averaged on its test objects.

    Raises:
        BadInput: A chosen head or fold does not exist.
    """
    task = cfg["task"]
    return {f"{name}_fold{k}": head_stage(task, name, k) for k in chosen_folds(task) for name in chosen_heads(task)}


def chosen_heads(task: Mapping[str, Any]) -> list[str]:
    """The heads to train, those of `task.heads`."""
    heads = task["heads"]
    if not heads or any(name not in task["head"] for name in heads):
        raise BadInput(f"task.heads={heads}: give a list of any of {', '.join(task['head'])}")
    return heads


def chosen_folds(task: Mapping[str, Any]) -> list[int]:
    """The folds to train: all, or those of `task.folds` when each is a job of its own."""
    n_folds = task["n_folds"]
    folds = list(range(n_folds)) if task["folds"] is None else list(task["folds"])
    if any(not 0 <= k < n_folds for k in folds):
        raise BadInput(f"task.folds={folds}: number them from 0 to {n_folds - 1}")
    return folds


def head_stage(task: Mapping[str, Any], name: str, k: int) -> dict[str, Any]:
    """The block of one head with fold `k` held out."""
    head = task["head"][name]
    shared = {key: task[key] for key in ("n_folds", "protocol", "fold_seed", "val_share", "lightcurves")}
    return {**head, "datamodule": {**head["datamodule"], **shared, "fold": k}, "predicts": True}


def frame_stages(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """For each fold an autoencoder, its embeddings, and each head on them, which keeps the encoder for later frames.

    Raises:
        BadInput: A chosen head or fold does not exist, or a head reads more than frames.
    """
    task = cfg["task"]
    latent = {"latent_dims": task["vae"]["model"]["latent_dims"]}
    stages = {}
    for k in chosen_folds(task):
        shared = {key: task[key] for key in ("n_folds", "protocol", "fold_seed", "val_share")} | {"fold": k}
        vae = task["vae"]
        stages[f"vae_fold{k}"] = {**vae, "datamodule": {**vae["datamodule"], **shared}, "predicts": False}
        for name in chosen_heads(task):
            head = head_stage(task, name, k)
            if head["datamodule"].get("pooled") or task["lightcurves"]:
                raise BadInput(
                    f"task.heads: {name} over frames takes neither pooled statistics nor light-curve features; choose a"
                    f" network with task.head.{name}.datamodule.pooled=false, and task.lightcurves=false"
                )
            stages[f"{name}_fold{k}"] = {
                **head,
                "datamodule": {**head["datamodule"], **latent},
                "module": {**head["module"], "_target_": ENCODED},
                "takes": {
                    "datamodule.embeddings": f"vae_fold{k}/embeddings",
                    "module.encoder": f"vae_fold{k}/checkpoint",
                },
            }
    return stages


def vae_stages(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The autoencoder alone, split once."""
    return {"vae": {**cfg["task"]["vae"], "predicts": True}}
