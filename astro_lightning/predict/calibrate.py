"""The last step of a training: what the run's objects outside of it say of its predictions."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from astro_lightning.core.build import build, class_of
from astro_lightning.core.calibration import Calibration, Fold, write_calibration
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.stages import datamodule_of, stages_of
from astro_lightning.core.task import TaskModule
from astro_lightning.data.errors import BadInput
from astro_lightning.predict.score import Scorer

log = logging.getLogger(__name__)


def check_calibrator(cfg: Mapping[str, Any]) -> None:
    """Whether `task.calibrator` can be built, and every predicting stage names classes that exclude each other.

    Raises:
        BadInput: It cannot, or one does not; said before anything is trained.
    """
    block = cfg["task"].get("calibrator")
    if not block:
        return
    build(block, classes=[])
    if block.get("shift") and cfg.get("refit"):
        raise BadInput(
            "task.calibrator.shift needs test objects, of which refit=true leaves none: leave one of them out"
        )
    for stage in (stage for stage in stages_of(cfg) if stage["predicts"]):
        kind: type[TaskModule] = class_of(stage["module"]["_target_"], TaskModule)
        if not kind.exclusive(stage["module"]):
            raise BadInput(
                f"task.calibrator: stage {stage['name']} of task={cfg['task']['name']} names no classes of which an object has "
                "exactly one (tags do not exclude each other): give task.calibrator=null"
            )


def calibrate(cfg: dict[str, Any], run_folder: Path, device: str) -> None:
    """Fit `task.calibrator` and keep it in the run folder, from which every later scoring takes it.

    Objects of the calibration part calibrate; in a cross-validation without one, the tested objects of each fold do: for new
    files all of them, for the tested objects of one fold those of the others. Without either there is no calibration.
    """
    block = cfg["task"].get("calibrator")
    if not block:
        return
    scorer = Scorer(run_folder, device, cfg["batch_size"], cfg["trainer"]["precision"])
    if len({tuple(member.info["classes"]) for member in scorer.members}) > 1:
        log.warning("not calibrated: the folds know different classes; give data.classes, or more objects")
        return
    datamodules = fold_datamodules(cfg, scorer)
    parts = [module.splits for module in datamodules]
    part = "calibration" if all(len(splits["calibration"]) for splits in parts) else "test"
    if part == "test" and len(parts) == 1:
        log.info("no p-values, prediction sets and flags: data.split keeps no objects for calibration")
        return
    rows = [
        [module.splits[name][_known(module)[module.splits[name]]] for name in ("train", "val", part)]
        for module in datamodules
    ]
    held = np.concatenate([chosen[-1] for chosen in rows])
    if part == "test" and len(np.unique(held)) < len(held):
        log.warning(
            "not calibrated: several networks held out the same objects, which would calibrate themselves: give "
            "data.split.calibration, or one network for each fold"
        )
        return
    folds = [
        Fold(*(scorer.evidence(module.records, chosen, f) for chosen in rows[f]))
        for f, module in enumerate(datamodules)
    ]
    info = scorer.info
    calibrator: Calibration = build(block, classes=info["classes"])
    survey = None
    if block.get("shift"):
        survey = scorer.evidence(datamodules[0].records, parts[0]["test"], 0)
    calibrator.fit(folds, info.get("features", []), survey)
    write_calibration(calibrator, run_folder)


def _known(module: RecordsData) -> np.ndarray:
    """(objects,) whether an object is of a class that the module knows."""
    return np.isin(module.records.labels.astype(str), module.info()["classes"])


def fold_datamodules(cfg: Mapping[str, Any], scorer: Scorer) -> list[RecordsData]:
    """The data module of each fold's first stage, set up."""
    return [datamodule_of(cfg, members[0].identity["stage"]) for members in scorer.folds]
