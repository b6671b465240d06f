"""What each part of the light-curve transformer is worth, and what boosted trees are worth beside it: MALLORN, a split a seed.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.plasticc_ablation RUNS [--epochs 3 30] [--seeds 0 1 2]

RUNS keeps the run folders: what is done there is not repeated. The network is small, so that a row takes a minute or two on one
core: rows can be compared with each other, not with the card's numbers.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from astro_lightning.core.metrics import classification_metrics, probabilities
from benchmarks.runs import run
from benchmarks.seeds import over_seeds
from benchmarks.table import Cell, write_table

SHARED = ("data=mallorn", "trainer=cpu", "callbacks=quiet", "report=false")
SIZE = ("model.d_model=48", "model.n_layers=2", "model.n_heads=4", "task.tokenizer.max_length=96")
SEED_SIZE = (*SIZE, "model=plasticc_bert", "model.head_dim=12", "task.tokenizer.kind=seed")
PRETRAIN, FINETUNE = "task.stages.pretrain", "task.stages.finetune"
AUGMENT = "task.augment"
NO_AUGMENTATION = (f"{AUGMENT}.season=0", f"{AUGMENT}.degrade=0", f"{AUGMENT}.extinction=0", f"{AUGMENT}.photoz=0",
                   "task.tokenizer.shift_days=0", "task.tokenizer.metadata_dropout=0")  # fmt: skip
# Name -> words, pretrained by itself.
WHOLE: dict[str, tuple[str, ...]] = {
    "transformer": SIZE,
    "published discrete tokens and BERT": SEED_SIZE,
    "without the same-source loss": (*SIZE, f"{PRETRAIN}.datamodule.pretrain.views=false"),
    "two-way head in place of InfoNCE": (*SIZE, f"{PRETRAIN}.module.same_source=two_way"),
    "same-source views of 64 observations in place of 32": (*SIZE, f"{PRETRAIN}.datamodule.pretrain.view_length=64"),
    "without metadata": (*SIZE, "task.tokenizer.metadata=[]"),
}  # fmt: skip
# Name -> words of a fine-tuning that starts from the first row's pretraining.
TUNED: dict[str, tuple[str, ...]] = {
    "frozen backbone": (*SIZE, f"{FINETUNE}.module.frozen=true"),
    "without augmentation in fine-tuning": (*SIZE, *NO_AUGMENTATION),
}
TREES = ("task=plasticc_trees", "task.stages.models=[trees]")
COLUMNS = ("what", "accuracy", "+-", "macro-F1", "+- (macro-F1)", "macro-F1 against the first row", "+- (against it)", "F1 of TDE",
           "log loss")  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the run folders")
    parser.add_argument("--epochs", type=int, nargs=2, default=(3, 30), help="of pretraining and of fine-tuning")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each draws its own split")
    args = parser.parse_args(words)
    pretrain, finetune = args.epochs
    found = [one_seed(args.runs.resolve() / str(seed), seed, pretrain, finetune) for seed in args.seeds]
    rows: list[list[Cell]] = []
    for name in found[0]:
        seeds = {metric: np.array([own[name][metric] for own in found]) for metric in found[0][name]}
        gain = seeds["macro_f1"] - [own["transformer"]["macro_f1"] for own in found]
        against: tuple[Cell, Cell] = over_seeds(gain) if rows else (None, None)
        two = (over_seeds(seeds[metric]) for metric in ("accuracy", "macro_f1"))
        rows.append(
            [name, *itertools.chain(*two), *against, float(seeds["f1_TDE"].mean()), float(seeds["log_loss"].mean())]
        )
    write_table(
        "plasticc_ablation",
        "Light curves: what each part is worth",
        COLUMNS,
        rows,
        note=f"MALLORN, a split of its own for each seed (20% of the objects tested); width 48, 2 layers, {pretrain} epochs of "
        f"pretraining and {finetune} of fine-tuning, at most 96 observations in training. +- is the 95% interval over seeds "
        "(Student's t); differences from the first row are paired.",
        command=f"python -m benchmarks.plasticc_ablation RUNS --epochs {pretrain} {finetune} "
        f"--seeds {' '.join(map(str, args.seeds))}",
        seeds=args.seeds,
    )


def one_seed(runs: Path, seed: int, pretrain: int, finetune: int) -> dict[str, dict[str, float]]:
    """Test metrics of each row for one seed."""
    drawn = (*SHARED, f"seed={seed}", f"data.split_seed={seed}")
    shared = (*drawn, f"{FINETUNE}.trainer.max_epochs={finetune}")
    alone = (*shared, "task=plasticc_finetune")
    backbone = f"{FINETUNE}.module.backbone={folder(runs, 'transformer') / 'checkpoints/pretrain/best.ckpt'}"
    trees, both = "boosted trees on hand features", "transformer and boosted trees, averaged"
    all_words = (
        {name: (*shared, "task=plasticc", f"{PRETRAIN}.trainer.max_epochs={pretrain}", *own) for name, own in WHOLE.items()}
        | {"without pretraining": (*alone, *SIZE)}
        | {name: (*alone, *own, backbone) for name, own in TUNED.items()}
        | {trees: (*drawn, *TREES)}
    )  # fmt: skip
    found = {}
    for name, words in all_words.items():
        run(folder(runs, name), words)
        found[name] = averaged([folder(runs, name)])
        print(f"{seed} {name:<45} {found[name]['accuracy']:.3f} {found[name]['macro_f1']:.3f}", flush=True)
    return found | {both: averaged([folder(runs, name) for name in ("transformer", trees)])}


def folder(runs: Path, name: str) -> Path:
    """The run folder of a row."""
    return runs / name.replace(",", "").replace(" ", "_")


def averaged(folders: Sequence[Path]) -> dict[str, float]:
    """Metrics of the mean of the probabilities of runs with one test set."""
    tables = [pq.read_table(path / "predictions.parquet").sort_by("id") for path in folders]
    classes = [c.removeprefix("prob_") for c in tables[0].column_names if c.startswith("prob_") and c != "prob_99"]
    if any(table["id"] != tables[0]["id"] for table in tables):
        raise ValueError(f"the runs have different test objects: {', '.join(map(str, folders))}")
    mean = np.mean([probabilities(table, classes) for table in tables], 0)
    merged = tables[0].select(["label"])
    for i, class_ in enumerate(classes):
        merged = merged.append_column(f"prob_{class_}", [mean[:, i]])
    return classification_metrics(merged, classes)


if __name__ == "__main__":
    main()
