"""A finished run, calibrated anew on labelled objects of another survey: its networks stay as they are."""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from astro_lightning.core.calibration import Calibration, write_calibration
from astro_lightning.core.provenance import write_json, write_text
from astro_lightning.data.errors import BadInput
from astro_lightning.data.fingerprint import object_hashes
from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group
from astro_lightning.predict.score import Scorer

log = logging.getLogger(__name__)


def recalibrate(scorer: Scorer, tables: Iterable[pa.Table], seed: int) -> tuple[Calibration, Records, list[np.ndarray]]:
    """The calibration of a run, from objects that none of its networks trained on.

    Where the run has folds, the objects are divided among them, groups kept whole: each calibrates one fold's networks, so that
    each can be tested by all the others.

    Args:
        scorer: Of the run.
        tables: Records, labelled.
        seed: Of the division.

    Returns:
        The calibration; the records; and of them the labelled rows, unknown kinds among them, that each fold took.

    Raises:
        BadInput: The run calibrates nothing, or there are fewer labelled objects of its classes than folds.
    """
    kind = type(scorer.members[0].module)
    own = kind.recalibration(scorer.info)
    calibration = scorer.calibration or own
    if calibration is None:
        raise BadInput(
            f"{scorer.path} has no calibration to renew: give a run of task.calibrator with folds or data.split.calibration"
        )
    if own is not None and type(own) is not type(calibration):
        log.warning("task.calibrator is renewed; the task's own p-values (p_known, reject) stay as they were trained")
    # Table by table: what is not labelled need not fit into memory.
    found = [_labelled(table) for table in tables if table.num_rows]
    if not found:
        raise BadInput("no object to calibrate with")
    records = Records.from_table(pa.concat_tables(found, promote_options="permissive"))
    seen = np.isin(object_hashes(records), np.concatenate([member.train_hashes for member in scorer.members]))
    if seen.any():
        log.warning("%d labelled objects were trained on: they calibrate nothing", seen.sum())
    rows, known = np.flatnonzero(~seen), np.isin(records.labels.astype(str), scorer.classes)
    n_folds = len(scorer.folds)
    fold = np.zeros(len(rows), np.int64)
    n_groups = len(np.unique(records.groups[rows].astype(str)))
    if 1 < n_folds <= n_groups:
        fold = folds_by_group(records.groups[rows], records.labels[rows], n_folds, seed)
    parts = [rows[fold == f] for f in range(n_folds)]
    if min(known[part].sum() for part in parts) < 2:
        raise BadInput(
            f"{known[rows].sum()} labelled objects of {', '.join(scorer.classes)} that were not trained on, in {n_groups} groups, "
            f"are too few for the {n_folds} folds of {scorer.path}: give more"
        )
    calibration.renew([scorer.evidence(records, part[known[part]], f) for f, part in enumerate(parts)])
    return calibration, records, parts


def _labelled(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table["label"])) if "label" in table.column_names else table.slice(0, 0)


def write_run(scorer: Scorer, calibration: Calibration, config: dict[str, Any], folder: Path) -> None:
    """A folder that scores as a run's does: copies of its checkpoints, this configuration, and this calibration."""
    names = [f"checkpoints/{i}/best.ckpt" for i in range(len(scorer.members))]
    for name, file in zip(names, scorer.files, strict=False):  # behind them a calibration
        (folder / name).parent.mkdir(parents=True)
        shutil.copyfile(file, folder / name)
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_calibration(calibration, folder)
    write_json(folder / "checkpoints" / "predicting.json", names)
