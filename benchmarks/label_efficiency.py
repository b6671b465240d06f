"""How much pretraining is worth where labels are few: MALLORN, some of the training labels, a split a seed.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.label_efficiency RUNS

RUNS is the folder of `benchmarks.plasticc_ablation`, whose first row gives the pretrained network; it saw the training objects
without their labels and never a test object.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astro_lightning.report.run_folder import read_run
from benchmarks.plasticc_ablation import FINETUNE, SHARED, SIZE, folder
from benchmarks.runs import run
from benchmarks.seeds import over_seeds
from benchmarks.table import Cell, write_table

TRAIN, VAL, TEST = 0.7, 0.1, 0.2
# Share of the training labels -> epochs: with few labels an epoch is a batch or two.
EPOCHS = {0.01: 100, 0.03: 80, 0.1: 60, 0.3: 40, 1.0: 30}
COLUMNS = ("labels", "objects", "accuracy, from random weights", "accuracy, pretrained", "macro-F1, from random weights",
           "macro-F1, pretrained", "gain in macro-F1", "+-")  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="some of the ablation's")
    args = parser.parse_args(words)
    rows: list[list[Cell]] = []
    for share, epochs in EPOCHS.items():
        found = [one_seed(args.runs.resolve() / str(seed), seed, share, epochs) for seed in args.seeds]
        scores = np.array([[[start["test/accuracy"], start["test/macro_f1"]] for start in own] for own in found])
        gain = over_seeds(scores[:, 1, 1] - scores[:, 0, 1])
        objects = read_run(named(args.runs.resolve() / str(args.seeds[0]), share, "random")).splits["train"]
        rows.append([f"{share:.0%}", objects, *scores.mean(0).T.ravel().tolist(), *gain])
        print(rows[-1], flush=True)
    write_table(
        "label_efficiency",
        "Light curves: few labels, with and without pretraining",
        COLUMNS,
        rows,
        note="MALLORN, the network and the splits of the ablation table (20% of the objects tested); each seed draws its own "
        "labels. +- is the 95% interval of the gain over seeds (Student's t, paired).",
        command="python -m benchmarks.label_efficiency RUNS --seeds " + " ".join(map(str, args.seeds)),
        seeds=args.seeds,
    )


def one_seed(runs: Path, seed: int, share: float, epochs: int) -> list[dict[str, float]]:
    """Test metrics with this share of the labels, from random weights and pretrained."""
    backbone = f"{FINETUNE}.module.backbone={folder(runs, 'transformer') / 'checkpoints/pretrain/best.ckpt'}"
    # What is left of the training share goes to the calibration split, which nothing reads here.
    split = f"data.split={{train:{TRAIN * share},val:{VAL},calibration:{TRAIN * (1 - share)},test:{TEST}}}"
    drawn = (f"seed={seed}", f"data.split_seed={seed}", split)
    words = (*SHARED, "task=plasticc_finetune", *SIZE, *drawn, f"{FINETUNE}.trainer.max_epochs={epochs}")
    return [
        run(named(runs, share, start), (*words, *own)) for start, own in (("random", ()), ("pretrained", (backbone,)))
    ]


def named(runs: Path, share: float, start: str) -> Path:
    """The run folder of one share of the labels."""
    return runs / f"labels_{share:g}_{start}"


if __name__ == "__main__":
    main()
