"""How much pretraining is worth where labels are few: MALLORN, one test set, some of the training labels.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.label_efficiency RUNS

RUNS is the folder of `benchmarks.plasticc_ablation`, whose first row gives the pretrained network; it saw the training objects
without their labels and never a test object.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from astro_lightning.report.run_folder import read_run
from benchmarks.plasticc_ablation import FINETUNE, SHARED, SIZE, folder
from benchmarks.runs import run
from benchmarks.table import Cell, write_table

TRAIN, VAL, TEST = 0.7, 0.1, 0.2
# Share of the training labels -> epochs: with few labels an epoch is a batch or two.
EPOCHS = {0.01: 100, 0.03: 80, 0.1: 60, 0.3: 40, 1.0: 30}
COLUMNS = ("labels", "objects", "accuracy, from random weights", "accuracy, pretrained", "macro-F1, from random weights",
           "macro-F1, pretrained", "gain in macro-F1")  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of weights and batches; the labels stay")
    args = parser.parse_args(words)
    runs = args.runs.resolve()
    backbone = f"{FINETUNE}.module.backbone={folder(runs, 'transformer') / 'checkpoints/pretrain/best.ckpt'}"
    rows: list[list[Cell]] = []
    for share, epochs in EPOCHS.items():
        # What is left of the training share goes to the calibration split, which nothing reads here.
        split = f"data.split={{train:{TRAIN * share},val:{VAL},calibration:{TRAIN * (1 - share)},test:{TEST}}}"
        found = {
            (start, seed): run(
                runs / f"labels_{share:g}_{start}_{seed}",
                (*SHARED, "task=plasticc_finetune", *SIZE, split, f"seed={seed}", f"{FINETUNE}.trainer.max_epochs={epochs}", *own),
            )
            for start, own in (("random", ()), ("pretrained", (backbone,)))
            for seed in args.seeds
        }  # fmt: skip
        means = [
            sum(found[start, seed][f"test/{metric}"] for seed in args.seeds) / len(args.seeds)
            for metric in ("accuracy", "macro_f1")
            for start in ("random", "pretrained")
        ]
        objects = read_run(runs / f"labels_{share:g}_random_{args.seeds[0]}").splits["train"]
        rows.append([f"{share:.0%}", objects, *means, means[3] - means[2]])
        print(rows[-1], flush=True)
    write_table(
        "label_efficiency",
        "Light curves: few labels, with and without pretraining",
        COLUMNS,
        rows,
        note="MALLORN, one split (20% of the objects tested), the network of the ablation table.",
        command="python -m benchmarks.label_efficiency RUNS",
        seeds=args.seeds,
    )


if __name__ == "__main__":
    main()
