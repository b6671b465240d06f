"""After a stage: score its test split with its best checkpoint, find the surest mistakes, draw the pictures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from astro_lightning.core.checkpoint import restore
from astro_lightning.core.datamodule import RecordsData
from astro_lightning.core.loader import Batch
from astro_lightning.core.metrics import probabilities
from astro_lightning.core.task import TaskModule
from astro_lightning.data.tables import mean_of_objects
from astro_lightning.methods.gradient_free import GradientFreeModule
from astro_lightning.tasks.spectra.pictures import Example, write_pictures
from astro_lightning.tasks.spectra.scoring import column, is_clean

MISTAKES = 8
# `Example` as a file, so that the pictures of a later fold show the mistakes of all.
MISTAKE = pa.schema(
    [(name, pa.string()) for name in ("name", "label", "decided")]
    + [(name, pa.float64()) for name in ("probability", "z")]
    + [("flux", pa.list_(pa.float32())), ("mask", pa.list_(pa.bool_())), ("saliency", pa.list_(pa.float32()))]
)


def saliency(module: TaskModule, batch: Batch, decided: Tensor) -> Tensor:
    """|gradient x input| of the decided class's logit over the channels: (B, bins)."""
    inputs = batch["inputs"].clone().requires_grad_(True)
    logits = module({**batch, "inputs": inputs})
    (gradient,) = torch.autograd.grad(logits.gather(1, decided[:, None]).sum(), inputs)
    strength = (gradient * inputs).abs().sum(1)
    return torch.nn.functional.avg_pool1d(strength[:, None], 15, 1, 7)[:, 0].detach()


def test_table(module: TaskModule, datamodule: RecordsData) -> pa.Table:
    """Predictions of the test split with id, row, label and redshift."""
    rows = datamodule.splits["test"]
    parts: list[dict[str, np.ndarray]] = []
    with torch.inference_mode():
        for batch in datamodule.loader("test"):
            columns = module.predict_step(batch)
            parts.append(
                {k: v.float().numpy() if isinstance(v, Tensor) else np.asarray(v, object) for k, v in columns.items()}
            )
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    records = datamodule.records
    table = pa.table(
        {
            "id": records.flat["id"].take(pa.array(rows)).cast(pa.string()),
            "row": rows,
            "label": pa.array(list(records.labels[rows]), pa.string()),
            "z": records.column("z", np.nan).astype(np.float64)[rows],
            **merged,
        }
    )
    return type(module).finish(table, module.info)


def surest_mistakes(module: TaskModule, datamodule: RecordsData, table: pa.Table) -> list[Example]:
    """Clean test spectra of a wrong class, the surest first."""
    classes = list(module.info["classes"])
    probability = probabilities(table, classes)
    decided = probability.argmax(1)
    labels = column(table, "label", "")
    wrong = np.flatnonzero(is_clean(table, classes) & (np.asarray(classes)[decided] != labels))
    wrong = wrong[np.argsort(-probability[wrong].max(1), kind="stable")][:MISTAKES]
    if not len(wrong):
        return []
    rows = np.asarray(table["row"])[wrong]
    records = datamodule.records
    batch = datamodule.dataset(records, module.info)[(rows, 0)]
    fitted = isinstance(module, GradientFreeModule)
    looked = [] if fitted else saliency(module, batch, torch.from_numpy(decided[wrong])).tolist()
    flux, ivar = np.array(records.fixed["flux"][rows]), np.array(records.fixed["ivar"][rows])
    return [
        Example(
            str(table["id"][int(i)]),
            str(labels[i]),
            classes[decided[i]],
            float(probability[i].max()),
            float(table["z"][int(i)].as_py()),
            flux[k].tolist(),
            ((ivar[k] > 0) & np.isfinite(flux[k])).tolist(),
            looked[k] if looked else [],
        )
        for k, i in enumerate(wrong)
    ]


def report_stage(best: Path, datamodule: RecordsData, folder: Path) -> dict[str, Path]:
    """Draw the pictures of a stage's best checkpoint; with folds, tables and curves cover all folds tested so far.

    Returns:
        The stage's table of tested spectra.
    """
    module = restore(best).module
    table = test_table(module, datamodule)
    out = best.with_name("tested.parquet")
    pq.write_table(table, out)
    tables = [table, *(pq.read_table(p) for p in sorted(best.parents[1].glob("*/tested.parquet")) if p != out)]
    classes = list(module.info["classes"])
    if is_clean(table, classes).any():
        examples = pa.Table.from_pylist([vars(e) for e in surest_mistakes(module, datamodule, table)], MISTAKE)
        pq.write_table(examples, best.with_name("mistakes.parquet"))
        found = [pq.read_table(p).to_pylist() for p in sorted(best.parents[1].glob("*/mistakes.parquet"))]
        surest = sorted((Example(**row) for rows in found for row in rows), key=lambda e: -e.probability)
        write_pictures(mean_of_objects(tables), surest[:MISTAKES], classes, folder)
    return {"tested": out}
