"""Unknown kinds: one class of SPCC or MALLORN left out of the training at a time, by the experiments as they are shipped.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.conformal_ood RUNS [--seeds 0 1 2]

RUNS keeps the run folders: what is done there is not repeated. Five folds by object; the class that is left out stands in the
tested folds at its natural share. Trees alone: the novelty score is theirs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from astro_lightning.core.metrics import members, probabilities
from astro_lightning.methods.conformal.evaluate import auroc, discoveries, proportion
from benchmarks.runs import run
from benchmarks.table import Cell, write_table

CASES = [("spcc", "Ibc"), ("spcc", "Ia"), ("spcc", "II"), *(("mallorn", k) for k in ("TDE", "AGN", "Ia", "CC"))]
SHARED = ("task.stages.models=[trees]", "trainer=cpu", "callbacks=quiet", "report=false")
FDR = 0.1  # the experiments' own
# Row -> which of the cases is the worst; None where none is.
ROWS = {
    "shipped": np.min, "shipped: 95%, low": None, "shipped: 95%, high": None, "largest probability": np.min,
    "coverage of the sets (0.9 asked)": np.min, "coverage: 95%, low": None, "coverage: 95%, high": None,
    "p-value of known objects above 0.1": np.min, "false discoveries (0.1 asked)": np.max, "false discoveries: 95%, low": None,
    "false discoveries: 95%, high": None, "unknown objects found": np.min,
}  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the run folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--data", nargs="+", default=["spcc", "mallorn"], help="those to run; the others are not measured"
    )
    args = parser.parse_args(words)
    found = np.full((len(args.seeds), len(ROWS), len(CASES)), np.nan)
    for i, seed in enumerate(args.seeds):
        for case, (data, held) in enumerate(CASES):
            if data in args.data:
                folder = args.runs.resolve() / f"{data}_{held}_{seed}"
                seeds = (f"seed={seed}", f"data.split_seed={seed}")
                run(folder, (f"experiment={data}", f"data.unknown=[{held}]", *SHARED, *seeds))
                found[i, :, case] = measured(folder / "predictions.parquet")
    rows: list[list[Cell]] = []
    for (name, worst), values in zip(ROWS.items(), averaged(found), strict=True):
        rows.append([name, *values, *([values.mean(), worst(values)] if worst else [None, None])])
    if len(args.seeds) > 1:
        scatter = found[:, 0].std(0, ddof=1)
        rows.insert(1, ["shipped: scatter over seeds", *scatter, found[:, 0].mean(1).std(ddof=1), None])
    write_table(
        "conformal_ood",
        "Unknown kinds",
        ["what", *(f"{data} {held}" for data, held in CASES), "mean", "worst"],
        rows,
        note="One class left out at a time, five folds by object, boosted trees on hand features; p-values against the calibration "
        "objects of the other folds. ROC area of the p-value (shipped) and of the largest probability; prediction sets; adaptive "
        "Benjamini-Hochberg over all tested objects. Means over the seeds, of the bounds too: intervals are of the choice of test "
        "objects. A false-discovery share and its bounds are of the seeds that flag anything; 0 without bounds where none does.",
        command=f"python -m benchmarks.conformal_ood RUNS --seeds {' '.join(map(str, args.seeds))} --data {' '.join(args.data)}",
        seeds=args.seeds,
    )


def averaged(found: np.ndarray) -> np.ndarray:
    """Mean over seeds of values (seeds, rows, cases) that are known, NaN where none is; of nothing flagged, nothing is false."""
    known = np.isfinite(found).sum(0)
    mean = np.where(known, np.nansum(found, 0) / np.maximum(known, 1), np.nan)
    rows = list(ROWS)
    share, power = (mean[rows.index(name)] for name in ("false discoveries (0.1 asked)", "unknown objects found"))
    share[np.isnan(share) & np.isfinite(power)] = 0.0
    return mean


def measured(predictions: Path) -> list[float | None]:
    """The values of `ROWS` for one case."""
    table = pq.read_table(predictions)
    classes = [name.removeprefix("prob_") for name in table.column_names if name.startswith("prob_")]
    labels = np.array(table["label"].to_pylist(), dtype=object)
    unknown = ~np.isin(labels, classes)
    p, flag = table["ood_p"].to_numpy(), table["ood_flag"].to_numpy()
    probability = probabilities(table, classes)
    inside = members(table["set"], classes)[~unknown]
    truth = [classes.index(label) for label in labels[~unknown]]
    covered = proportion(int(inside[np.arange(len(truth)), truth].sum()), len(truth))
    said = discoveries(flag, unknown, FDR)
    false, power = said["false_discoveries"], said["power"]
    assert isinstance(false, dict) and isinstance(power, dict)
    area = auroc(-p, unknown)
    return [
        area["value"], area["low"], area["high"], auroc(-probability.max(1), unknown, resamples=1)["value"],
        covered["value"], covered["low"], covered["high"], float((p[~unknown] > FDR).mean()),
        false["value"], false["low"], false["high"], power["value"],
    ]  # fmt: skip


if __name__ == "__main__":
    main()
