"""Light curves that are still growing: the test objects of a finished run, cut some days after their first detection."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astro_lightning.core.checkpoint import predicting_checkpoints
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.stages import make_datamodule, stages_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.light_curves import offsets_of
from astro_lightning.data.records import Records
from astro_lightning.data.tables import mean_of_objects, write_parquet
from astro_lightning.predict.score import Scorer

FILE = "examples/early.parquet"


def predict_early(cfg: Mapping[str, Any], run_folder: Path, days: Sequence[float]) -> None:
    """Score the test objects as a broker would have seen them, into `examples/early.parquet`.

    Its columns are `id`, `label`, `prob_<class>` and `days`, which is infinite for the whole curves. Each predicting stage scores
    its own test objects, so that folds score only what they held out.

    Args:
        cfg: Configuration of the run.
        run_folder: With its checkpoints and `predictions.parquet`.
        days: Since the first detection of each object.

    Raises:
        BadInput: The run's objects are no light curves, or its test objects have no classes.
    """
    if not (run_folder / "predictions.parquet").exists():
        raise BadInput(f"{run_folder} has no predictions of its test objects: finish the run first")
    scorers = [
        Scorer(file, "cpu", cfg["batch_size"], cfg["trainer"]["precision"])
        for file in predicting_checkpoints(run_folder)
    ]
    data = [make_datamodule(cfg, stage) for stage in stages_of(cfg) if stage["predicts"]][: len(scorers)]
    for module in data:
        module.setup()
    columns = ["id", "label", *(f"prob_{name}" for name in scorers[0].classes)]
    whole = pq.read_table(run_folder / "predictions.parquet", columns=columns)
    parts = [(np.inf, whole)]
    parts += [(day, _at(day, scorers, data).select(columns).cast(whole.schema)) for day in days]
    tables = [part.append_column("days", pa.array(np.full(len(part), float(day)))) for day, part in parts]
    write_parquet(tables, run_folder / FILE)


def _at(days: float, scorers: Sequence[Scorer], data: Sequence[RecordsData]) -> pa.Table:
    # Stages that share their records also share the cut ones: features of an object are then made once.
    kept: dict[Path, tuple[np.ndarray, Records]] = {}
    parts = []
    for scorer, module in zip(scorers, data, strict=True):
        rows, folder = module.splits["test"], module.records_folder()
        if not len(rows):
            continue
        if folder not in kept:
            every = np.unique(np.concatenate([one.splits["test"] for one in data if one.records_folder() == folder]))
            kept[folder] = every, cut(module.records, every, days)
        every, records = kept[folder]
        table = scorer.predict(records, np.searchsorted(every, rows))
        parts.append(table.append_column("label", pa.array(records.labels[np.searchsorted(every, rows)], pa.string())))
    return mean_of_objects(parts)


def cut(records: Records, rows: np.ndarray, days: float) -> Records:
    """These objects with what was observed up to `days` after their first detection.

    Where nothing was detected, days count from the highest signal-to-noise ratio. Columns that are no part of the light curve
    itself or of its metadata are left out: they may know of later observations.
    """
    if not {"mjd", "flux", "flux_err", "detected"} <= set(records.ragged):
        raise BadInput(
            "these objects are no light curves of fluxes with times, or have no detections: nothing can be cut"
        )
    taken = {name: column.take(rows) for name, column in records.ragged.items()}
    mjd, offsets = taken["mjd"]
    owner = np.repeat(np.arange(len(rows)), np.diff(offsets))
    snr = taken["flux"][0] / taken["flux_err"][0]
    highest = np.full(len(rows), -np.inf)
    np.maximum.at(highest, owner, snr)
    seen = taken["detected"][0].astype(bool)
    seen |= (np.bincount(owner, seen, len(rows)) == 0)[owner] & (snr == highest[owner])
    first = np.full(len(rows), np.inf)
    np.minimum.at(first, owner[seen], mjd[seen])
    kept = mjd <= first[owner] + days
    ends = offsets_of(owner[kept], len(rows))
    lists = {
        name: pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values[kept]))
        for name, (values, own) in taken.items()
        if np.array_equal(own, offsets)
    }
    flat = records.flat.take(pa.array(rows))
    return Records.from_table(pa.table({**{name: flat[name] for name in flat.column_names}, **lists}))
