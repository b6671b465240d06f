"""A run folder as a run leaves it, with predictions from a random generator."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

PLASTICC = [
    "SN Ia",
    "SN II",
    "SN Ibc",
    "SLSN-I",
    "TDE",
    "KN",
    "AGN",
    "RRL",
    "Mira",
    "EB",
    "M-dwarf",
    "mu-Lens",
    "91bg",
    "Iax",
]


def predictions(classes: list[str], rows: int, seed: int = 0, skill: float = 2.2) -> pa.Table:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(len(classes), 1.5))
    truth = rng.choice(len(classes), rows, p=share)
    logits = rng.normal(size=(rows, len(classes)))
    logits[np.arange(rows), truth] += rng.normal(skill, 1.2, rows)
    # Neighbouring classes resemble each other, as supernova types do.
    logits[np.arange(rows), (truth + 1) % len(classes)] += rng.normal(skill / 3, 1, rows)
    probability = np.exp(1.4 * logits)
    probability /= probability.sum(axis=1, keepdims=True)
    columns = {"id": np.arange(rows) + 13_000_000, "label": np.array(classes, dtype=object)[truth]}
    return pa.table(columns | {f"prob_{name}": probability[:, i].astype(np.float32) for i, name in enumerate(classes)})


def light_curves(table: pa.Table, classes: list[str], n: int = 40, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        mjd = np.sort(rng.uniform(59580, 60300, 90))
        band = rng.integers(0, 6, 90)
        shape = 300 * np.exp(-0.5 * ((mjd - rng.uniform(59750, 60100)) / 45) ** 2) * (0.4 + 0.2 * band)
        error = rng.uniform(8, 25, 90)
        probability = [table[f"prob_{c}"][i].as_py() for c in classes]
        rows.append(
            {
                "id": table["id"][i].as_py(),
                "label": table["label"][i].as_py(),
                "predicted": classes[int(np.argmax(probability))],
                "mjd": mjd.tolist(),
                "band": band.tolist(),
                "flux": (shape + rng.normal(0, error)).tolist(),
                "flux_err": error.tolist(),
                "reconstruction": (shape * 0.95).tolist(),
                "masked": (rng.random(90) < 0.3).tolist(),
            }
        )
    return pa.Table.from_pylist(rows)


def learning(stage_loss: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    step = np.arange(10, 2001, 10)
    loss = stage_loss * (0.25 + np.exp(-step / 400)) + rng.normal(0, 0.03, len(step))
    train = pd.DataFrame(
        {"epoch": step // 200, "step": step, "train/loss": loss, "lr-AdamW": 1e-3 * np.exp(-step / 900)}
    )
    ends = step[19::20]
    val = pd.DataFrame(
        {
            "epoch": ends // 200 - 1,
            "step": ends,
            "val/loss": stage_loss * (0.3 + np.exp(-ends / 420)),
            "val/accuracy": 0.85 - 0.6 * np.exp(-ends / 500),
            "val/macro_f1": 0.78 - 0.6 * np.exp(-ends / 500),
        }
    )
    return pd.concat([train, val]).sort_values("step", kind="stable")


def make_run(
    folder: Path,
    table: pa.Table | None,
    metrics: dict | None = None,
    data: str = "mallorn",
    title: str = "Light-curve classification",
    seed: int = 0,
    stages: tuple[str, ...] = ("pretrain", "finetune"),
    examples: pa.Table | None = None,
) -> Path:
    folder.mkdir(parents=True)
    classes = [c.removeprefix("prob_") for c in table.column_names if c.startswith("prob_")] if table else []
    config = {
        "task": {"name": "plasticc", "title": title},
        "data": {"name": data, "licence": "CC BY 4.0", "split": {"train": 0.7, "test": 0.2}},
        "optimizer": {"lr": 1e-3 * (seed + 1)},
        "seed": seed,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.json").write_text(json.dumps({} if metrics is None else metrics))
    about = {
        "command": [
            "python",
            "-m",
            "astro_lightning",
            "task=plasticc",
            f"data={data}",
            "run_name=first try",
            f"seed={seed}",
        ],
        "seed": seed,
        "versions": {"astro-lightning": "0.1.0", "torch": "2.13.0"},
        "git": {"commit": "0123456789abcdef", "modified_files": 0},
        "hardware": {"system": "Linux", "cpu_cores": 2, "accelerators": []},
        "seconds": 812.4,
        "data": {
            "content_sha256": "ab" * 32,
            "split_sha256": "cd" * 32,
            "splits": {"train": 17500, "val": 2500, "calibration": 0, "test": 5000},
            "classes": classes,
            "counts": [1000 + i for i in range(len(classes))],
        },
    }
    (folder / "provenance.json").write_text(json.dumps(about))
    if table is not None:
        pq.write_table(table, folder / "predictions.parquet")
    for i, stage in enumerate(stages):
        (folder / "logs" / stage).mkdir(parents=True)
        learning(2.0 - i).to_csv(folder / "logs" / stage / "metrics.csv", index=False)
    if examples is not None:
        (folder / "examples").mkdir()
        pq.write_table(examples, folder / "examples" / "light_curves.parquet")
    return folder
