"""Quality of finished runs of the spectra task beside known numbers, with bootstrap intervals over objects.

Run: python benchmarks/spectra_quality.py RUN_FOLDER [LEAVE_ONE_OUT_RUN_FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from astro_lightning.core.metrics import probabilities
from astro_lightning.tasks.spectra.scoring import column, is_clean, macro_f1

CLASSES = ["STAR", "GALAXY", "QSO"]
KNOWN = {"clean macro-F1": 0.988, "SDSS+BOSS macro-F1": 0.914, "all spectra macro-F1": 0.893}
KNOWN_LEFT_OUT = {"SDSS": 0.78, "BOSS": 0.38, "LAMOST": 0.72}
RESAMPLES = 1000


def interval(labels: np.ndarray, decided: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """Macro-F1 and its 95% interval, resampling objects."""
    rng = np.random.default_rng(0)
    _, member = np.unique(groups.astype(str), return_inverse=True)
    rows_of = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[i] for i in rng.integers(0, len(rows_of), len(rows_of))])
        values.append(macro_f1(labels[rows], decided[rows], CLASSES))
    low, high = np.percentile(values, [2.5, 97.5])
    return macro_f1(labels, decided, CLASSES), float(low), float(high)


def main() -> None:
    """Print the tables."""
    table = pq.read_table(Path(sys.argv[1]) / "predictions.parquet")
    labels, survey = column(table, "label", ""), column(table, "survey", "")
    decided = np.asarray(CLASSES)[probabilities(table, CLASSES).argmax(1)]
    clean, known = is_clean(table, CLASSES), np.isin(labels, CLASSES)
    groups = column(table, "group", "") if "group" in table.column_names else column(table, "id", "")
    subsets = {
        "clean macro-F1": clean,
        "SDSS+BOSS macro-F1": clean & np.isin(survey, ["SDSS", "BOSS"]),
        "all spectra macro-F1": known,
    }
    for name, rows in subsets.items():
        value, low, high = interval(labels[rows], decided[rows], groups[rows])
        print(f"{name:24s} {value:.4f} [{low:.4f}, {high:.4f}]  n = {rows.sum()}  known {KNOWN[name]}")
    reject = column(table, "reject", 0.0).astype(bool)
    print(f"{'rejected':24s} clean {reject[clean].mean():.4f}, sky fibres {reject[labels == 'SKY'].mean():.4f}")
    for name in sorted(set(survey[clean])):
        here = clean & (survey == name)
        print(f"  {name:22s} accuracy {(decided == labels)[here].mean():.4f}  n = {here.sum()}")
    if len(sys.argv) > 2:
        table = pq.read_table(Path(sys.argv[2]) / "predictions.parquet")
        labels, survey = column(table, "label", ""), column(table, "survey", "")
        right = np.asarray(CLASSES)[probabilities(table, CLASSES).argmax(1)] == labels
        clean = is_clean(table, CLASSES)
        found = {name: right[clean & (survey == name)].mean() for name in sorted(set(survey[clean]))}
        for name, value in found.items():
            print(f"left out {name:15s} accuracy {value:.4f}  known {KNOWN_LEFT_OUT.get(name, '-')}")
        print(f"left out, mean {np.mean(list(found.values())):.4f}, worst {min(found.values()):.4f}")


if __name__ == "__main__":
    main()
