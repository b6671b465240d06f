"""Light curves that a run shows in its report, with their reconstruction and prediction."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning_fabric.utilities import move_data_to_device

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.data.records import Records
from astro_lightning.data.tables import write_parquet
from astro_lightning.report.mistakes import mistaken_objects
from astro_lightning.tasks.plasticc.network import Pretrainer

N_EXAMPLES, N_CANDIDATES = 9, 2000
_SHOWN = ("mjd", "band", "flux", "flux_err")


def reconstruct_examples(checkpoint: Path, datamodule: RecordsData, run_folder: Path, device: torch.device) -> None:
    """Write validation objects with hidden observations and what a pretrained network makes of them.

    The file `examples/light_curves.parquet` has `id, label, predicted` (null so far) and the lists `mjd, band, flux,
    flux_err`, `masked` (the network did not see the observation) and `reconstruction`: flux at the mean of the predicted
    asinh flux where masked, NaN elsewhere, as nothing else is learned. Nothing is written for discrete tokens.
    """
    restored = restore(checkpoint)
    if restored.info["tokenizer"]["kind"] != "continuous":
        return
    rows = choose(datamodule.records, datamodule.splits["val"])
    network = restored.module.to(device).network
    assert isinstance(network, Pretrainer)
    batch = _batch(datamodule, rows, device)
    with torch.inference_mode():
        prediction = network.backbone.reconstruct(network.backbone.encode(batch)[0])
    seen = batch["mask"]
    masked = batch["masked"][seen].cpu().numpy()
    flux = np.sinh(prediction[..., 0][seen].float().cpu().numpy()) * restored.info["flux_scale"]
    table = _light_curves(datamodule.records, rows)
    for name, values in (("reconstruction", np.where(masked, flux, np.nan)), ("masked", masked)):
        column = pa.ListArray.from_arrays(table["mjd"].chunk(0).offsets, pa.array(values))
        table = table.append_column(name, column)
    write_parquet([table], run_folder / "examples" / "light_curves.parquet")


def predict_examples(checkpoint: Path, datamodule: RecordsData, run_folder: Path, device: torch.device) -> None:
    """Say what a classifier takes the example light curves for; without examples of a pretraining, choose some."""
    records, path = datamodule.records, run_folder / "examples" / "light_curves.parquet"
    held_out = datamodule.splits["val"]
    if path.exists():
        table = pq.read_table(path)
        # A further survey's object may bear the number of one of this survey.
        asked = set(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
        key = zip(records.ids[held_out].tolist(), records.labels[held_out], strict=True)
        rows = held_out[np.array([one in asked for one in key], dtype=bool)]
    else:
        rows = choose(records, held_out)
        table = _light_curves(records, rows)
    predicted: dict[int | str, str] = {}
    if len(rows):
        restored = restore(checkpoint)
        with torch.inference_mode():
            decided = restored.module.to(device)(_batch(datamodule, rows, device)).argmax(-1).tolist()
        names = [restored.info["classes"][i] for i in decided]
        predicted = dict(zip(records.ids[rows].tolist(), names, strict=True))
    column = pa.array([predicted.get(name) for name in table["id"].to_pylist()], pa.string())
    write_parquet([table.set_column(table.column_names.index("predicted"), "predicted", column)], path)


def keep_mistakes(records: Records, rows: np.ndarray, run_folder: Path) -> None:
    """Write `examples/mistakes.parquet`: tested objects that were wrongly classified, the surest first.

    Its columns are those of the other examples. Without light curves or mistakes there is none.

    Args:
        records: With the tested objects.
        rows: Of the tested objects.
        run_folder: With `predictions.parquet`.
    """
    if not records.ragged.keys() >= set(_SHOWN):
        return
    wrong = mistaken_objects(run_folder / "predictions.parquet", records, rows).slice(0, N_EXAMPLES)
    if len(wrong):
        table = _light_curves(records, wrong["row"].to_numpy())
        table = table.set_column(table.column_names.index("predicted"), "predicted", wrong["predicted"])
        write_parquet([table], run_folder / "examples" / "mistakes.parquet")


def choose(records: Records, rows: np.ndarray, n: int = N_EXAMPLES) -> np.ndarray:
    """Up to `n` of these rows: the best measured object of each class, then the second best; unlabelled ones last.

    Of many rows the first 2,000 labelled ones are looked at. What a network makes of an object plays no part.
    """
    labels = records.labels[rows]
    unknown = ~records.labelled[rows]
    order = np.argsort(unknown, kind="stable")[:N_CANDIDATES]
    rows, labels, unknown = rows[order], labels[order].astype(str), unknown[order]
    flux, offsets = records.ragged["flux"].take(rows)
    flux_err, _ = records.ragged["flux_err"].take(rows)
    # Clipped, or one very bright night would count for more than a well sampled curve.
    signal = np.minimum(np.abs(flux / flux_err), 10.0)
    total = np.bincount(np.repeat(np.arange(len(rows)), np.diff(offsets)), weights=signal, minlength=len(rows))
    quality = total / np.maximum(np.diff(offsets), 20)
    by_class = np.lexsort((-quality, labels))
    first_of_class = np.searchsorted(labels[by_class], labels[by_class])
    place = np.empty(len(rows), dtype=np.int64)
    place[by_class] = np.arange(len(rows)) - first_of_class
    return rows[np.lexsort((-quality, place, unknown))[:n]]


def _batch(datamodule: RecordsData, rows: np.ndarray, device: torch.device) -> Batch:
    return move_data_to_device(datamodule.loader("val").dataset[(rows, 0)], device)


def _light_curves(records: Records, rows: np.ndarray) -> pa.Table:
    ids = records.flat["id"].take(pa.array(rows)).combine_chunks()
    names = {"label": pa.array(records.labels[rows], pa.string()), "predicted": pa.nulls(len(rows), pa.string())}
    table = pa.table({"id": ids, **names})
    for name in _SHOWN:
        values, offsets = records.ragged[name].take(rows)
        table = table.append_column(name, pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values)))
    return table
