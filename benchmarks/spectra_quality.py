"""Quality of finished runs of `experiment=spectra_real`, one seed each, and of their average, beside known numbers.

Run: python -m benchmarks.spectra_quality RUN_FOLDER [RUN_FOLDER ...]
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from astro_lightning.core.metrics import probabilities
from astro_lightning.data.locate import locate
from astro_lightning.data.surveys.spectra import Spectra
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.spectra.scoring import column, is_clean, macro_f1
from benchmarks.table import Cell, write_table

CLASSES = ["STAR", "GALAXY", "QSO"]
RESAMPLES = 1000


def interval(labels: np.ndarray, decided: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95% interval of the macro-F1, resampling objects."""
    rng = np.random.default_rng(0)
    _, member = np.unique(groups.astype(str), return_inverse=True)
    rows_of = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[i] for i in rng.integers(0, len(rows_of), len(rows_of))])
        values.append(macro_f1(labels[rows], decided[rows], CLASSES))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def twin_alone(run: Path, order: list[str]) -> np.ndarray:
    """Probabilities (n, 3) of the run's network before it saw a real spectrum, for the real spectra in this order."""
    data = yaml.safe_load((run / "config.yaml").read_text())
    scorer = Scorer(run / "checkpoints" / "twin" / "best.ckpt")
    source = locate(data["data"], Path(data["paths"]["cache"]))
    found = pa.concat_tables([scorer.predict_table(table) for table in Spectra().read(source)])
    place = {str(name): i for i, name in enumerate(found["id"].to_pylist())}
    return probabilities(found, CLASSES)[[place[name] for name in order]]


def main(folders: list[Path]) -> None:
    """Write the table."""
    tables = [pq.read_table(folder / "predictions.parquet") for folder in folders]
    order = [str(name) for name in tables[0]["id"].to_pylist()]
    first = tables[0]
    labels, survey, groups = (column(first, name, "") for name in ("label", "survey", "group"))
    clean, known = is_clean(first, CLASSES), np.isin(labels, CLASSES)
    both = clean & np.isin(survey, ["SDSS", "BOSS"])
    by_run = []
    for table in tables:
        place = {str(name): i for i, name in enumerate(table["id"].to_pylist())}
        by_run.append(table.take(pa.array([place[name] for name in order])))
    real = [probabilities(table, CLASSES) for table in by_run]
    twin = [twin_alone(folder, order) for folder in folders]
    rows: list[list[Cell]] = []

    def add(name: str, select: np.ndarray, parts: list[np.ndarray], known_value: float | None) -> None:
        decided = [np.asarray(CLASSES)[p.argmax(1)][select] for p in [*parts, np.mean(parts, axis=0)]]
        values = [macro_f1(labels[select], d, CLASSES) for d in decided]
        mean = float(np.mean(values[:-1]))
        bounds = interval(labels[select], decided[0], groups[select])
        rows.append([name, int(select.sum()), mean, *bounds, values[-1], known_value])

    add("clean spectra, macro-F1", clean, real, 0.988)
    add("SDSS and BOSS, macro-F1", both, real, 0.914)
    add("all of known classes, macro-F1", known, real, 0.893)
    add("trained on the twin alone: clean spectra, macro-F1", clean, twin, 0.941)
    add("trained on the twin alone: SDSS and BOSS, macro-F1", both, twin, None)

    def rejected(name: str, select: np.ndarray, known_value: float | None) -> None:
        share: Callable[[pa.Table], float] = lambda t: float(column(t, "reject", 0.0).astype(bool)[select].mean())  # noqa: E731
        rows.append(
            [name, int(select.sum()), float(np.mean([share(t) for t in by_run])), None, None, None, known_value]
        )

    rejected("clean spectra rejected", clean, None)
    rejected("sky fibres rejected", labels == "SKY", 0.43)
    seeds = [yaml.safe_load((folder / "config.yaml").read_text())["seed"] for folder in folders]
    write_table(
        "spectra_quality",
        "Quality of spectra",
        ["what", "spectra", "mean over seeds", "low", "high", "seeds averaged", "known"],
        rows,
        "Five folds by object on the real set. Low and high: 95%, objects resampled, first seed; seeds averaged: the mean of "
        "the seeds' predictions.",
        "python -m benchmarks.spectra_quality RUN_FOLDER...   # of experiment=spectra_real, one seed each",
        seeds,
    )


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
