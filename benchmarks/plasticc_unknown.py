"""Unknown kinds and prediction sets by the light-curve transformer's own embedding: MALLORN, one class left out at a time.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.plasticc_unknown RUNS [--epochs 5 30]

RUNS keeps the run folders: what is done there is not repeated. One split by object with a part to calibrate on; the class that is
left out is in neither the labelled training objects nor their pretraining, but the survey's unlabelled curves hold it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astro_lightning.core.calibration import Evidence, Fold
from astro_lightning.methods.conformal.calibrator import Calibrator
from astro_lightning.methods.conformal.evaluate import auroc
from astro_lightning.predict.calibrate import fold_datamodules
from astro_lightning.predict.score import Scorer
from astro_lightning.report.run_folder import read_run
from benchmarks.conformal_ood import measured
from benchmarks.runs import run
from benchmarks.table import Cell, write_table

KINDS = ("TDE", "AGN", "Ia", "CC")
SPLIT = "data.split={train: 0.55, val: 0.1, calibration: 0.15, test: 0.2}"
SHARED = ("task=plasticc", "data=mallorn", SPLIT, "model.d_model=64", "model.n_layers=3", "trainer=cpu", "callbacks=quiet",
          "report=false", "task.stages.finetune.module.novelty=student", "task.calibrator.scores=[energy,knn]")  # fmt: skip
# The shipped joint score is not chosen here: it is the one of the trees' table.
SCORES = (("energy",), ("knn",), ("mahalanobis",), ("novelty",), ("energy", "knn"), ("energy", "knn", "novelty"))
SHIPPED = ("energy", "knn")


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the run folders")
    parser.add_argument("--epochs", type=int, nargs=2, default=(5, 30), help="of pretraining and of fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kinds", nargs="+", default=list(KINDS), help="those that are left out; the others are not measured"
    )
    args = parser.parse_args(words)
    epochs = [
        f"task.stages.{stage}.trainer.max_epochs={n}"
        for stage, n in zip(("pretrain", "finetune"), args.epochs, strict=True)
    ]
    rows: list[list[Cell]] = []
    for held in args.kinds:
        folder = args.runs.resolve() / held
        run(folder, (*SHARED, *epochs, f"data.unknown=[{held}]", f"seed={args.seed}"))
        area, low, high, largest, covered, c_low, c_high, _, false, f_low, f_high, found = measured(
            folder / "predictions.parquet"
        )
        given = evidence(folder)
        areas = {names: area_of(names, *given) for names in SCORES if names != SHIPPED}
        rows.append([f"{held} left out", area, interval(low, high), *areas.values(), largest, covered, interval(c_low, c_high),
                     false, interval(f_low, f_high), found])  # fmt: skip
    write_table(
        "plasticc_unknown",
        "Unknown kinds by the transformer's own embedding",
        ["MALLORN", "energy+knn (shipped): ROC area", "95%", *("+".join(names) for names in SCORES if names != SHIPPED),
         "largest probability", "coverage of the sets (0.9 asked)", "coverage, 95%", "false discoveries (0.1 asked)",
         "false discoveries, 95%", "unknown objects found"],
        rows,
        note=f"Transformer of width 64 and 3 layers, pretrained for {args.epochs[0]} epochs and fine-tuned for {args.epochs[1]}; "
        "one split, p-values against 15% of the labelled objects. ROC areas of one kind left out against the known kinds' test "
        "objects, by each novelty score: energy of the logits, distances in the embedding, `novelty` the likelihood of "
        "observations hidden in turn.",
        command=f"python -m benchmarks.plasticc_unknown RUNS --epochs {args.epochs[0]} {args.epochs[1]} --seed {args.seed} "
        f"--kinds {' '.join(args.kinds)}",
        seeds=[args.seed],
    )  # fmt: skip


def interval(low: float | None, high: float | None) -> str | None:
    """Of two bounds, one cell."""
    return None if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def evidence(folder: Path) -> tuple[list[str], Fold, Evidence]:
    """Classes of the run, what calibrates it, and its test objects (label -1: the kind left out)."""
    cfg = read_run(folder).config
    scorer = Scorer(folder, "cpu", cfg["batch_size"], cfg["trainer"]["precision"])
    (data,) = fold_datamodules(cfg, scorer)
    records, classes = data.records, scorer.info["classes"]
    known = np.isin(records.labels.astype(str), classes)
    rows = [data.splits[name][known[data.splits[name]]] for name in ("train", "val", "calibration")]
    fold = Fold(*(scorer.evidence(records, chosen, 0) for chosen in rows))
    return classes, fold, scorer.evidence(records, data.splits["test"], 0)


def area_of(names: Sequence[str], classes: Sequence[str], fold: Fold, test: Evidence) -> Cell:
    """ROC area of the p-value made of these novelty scores."""
    calibrator = Calibrator(classes=classes, scores=names)
    calibrator.fit([fold])
    p = np.asarray(calibrator.columns({0: test})["ood_p"])
    return auroc(-p, test.label < 0, resamples=1)["value"]


if __name__ == "__main__":
    main()
