"""The stages of the labelling loop: ITS -> ALS -> SSLS x R, and beside it random selection and all labels; and plain folds."""

from collections.abc import Mapping
from typing import Any

from astro_lightning.data.errors import BadInput


def loop_stages(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Names and blocks of the stages.

    `task.main` is the learner of ITS and ALS; `task.peers` are further learners on the same labels, whose pseudo labels are
    averaged with its own; `task.rounds` names the learner of each semi-supervised round.

    Raises:
        BadInput: A learner is not one of `task.learner`.
    """
    task = cfg["task"]
    plan: list[tuple[str, str, str, dict[str, str]]] = [("its", task["main"], "its", {})]
    if task["baselines"]:
        plan += [("random", task["main"], "random", {}), ("full", task["main"], "full", {})]
    chosen = {"datamodule.selected": "its/selected"}
    plan.append(("als", task["main"], "als", chosen))
    last = "als"
    for i, learner in enumerate(task["peers"]):
        plan.append((f"peer{i + 1}", learner, "als", {**chosen, "datamodule.committee": f"{last}/pseudo"}))
        last = f"peer{i + 1}"
    for i, learner in enumerate(task["rounds"]):
        given = {"datamodule.pseudo": f"{last}/pseudo", "datamodule.committee": f"{last}/pseudo"}
        plan.append((f"ssls{i + 1}", learner, "ssls", chosen | given))
        last = f"ssls{i + 1}"
    stages = {}
    for i, (name, learner, role, takes) in enumerate(plan):
        if i:
            takes = {**takes, "datamodule.earlier": f"{plan[i - 1][0]}/scores"}
        stages[name] = _stage(task, learner, role, takes)
    return stages


def ensemble_stages(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One stage for each fold of `task.n_folds`, all predicting with the learner `task.main`."""
    task = cfg["task"]
    block = task["learner"][task["main"]]
    return {
        f"fold{k}": {
            **block,
            "datamodule": {**block["datamodule"], "fold": k, "n_folds": task["n_folds"]},
            "predicts": True,
        }
        for k in range(task["n_folds"])
    }


def _stage(task: Mapping[str, Any], learner: str, role: str, takes: dict[str, str]) -> dict[str, Any]:
    if learner not in task["learner"]:
        raise BadInput(
            f"task.main, task.peers and task.rounds: {learner} is no learner of task.learner ({', '.join(task['learner'])})"
        )
    block = task["learner"][learner]
    loop = task["loop"]
    return {
        **block,
        "datamodule": {**task["sets"], **block["datamodule"], "role": role, "n_select": loop["n_select"]},
        "module": {**block["module"], **loop},
        "takes": takes,
    }
