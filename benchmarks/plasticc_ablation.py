"""What each part of the light-curve transformer is worth, and what boosted trees are worth beside it: MALLORN, one split.

    ASTRO_LIGHTNING_DATA=FOLDER python -m benchmarks.plasticc_ablation RUNS [--epochs 3 30]

RUNS keeps the run folders: what is done there is not repeated. The network is small, so that a row takes a minute or two on one
core: rows can be compared with each other, not with the card's numbers.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from astro_lightning.core.metrics import classification_metrics, probabilities
from astro_lightning.report.intervals import bootstrap
from benchmarks.runs import run
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
    "without metadata": (*SIZE, "task.tokenizer.metadata=[]"),
}  # fmt: skip
# Name -> words of a fine-tuning that starts from the first row's pretraining.
TUNED: dict[str, tuple[str, ...]] = {
    "frozen backbone": (*SIZE, f"{FINETUNE}.module.frozen=true"),
    "without augmentation in fine-tuning": (*SIZE, *NO_AUGMENTATION),
}
TREES = ("task=plasticc_trees", "task.stages.models=[trees]")
COLUMNS = ("what", "accuracy", "accuracy, 95%", "macro-F1", "macro-F1, 95%", "F1 of TDE", "log loss")


def main(words: Sequence[str] | None = None) -> None:
    """Run what is not yet done and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the run folders")
    parser.add_argument("--epochs", type=int, nargs=2, default=(3, 30), help="of pretraining and of fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(words)
    runs, (pretrain, finetune) = args.runs.resolve(), args.epochs
    shared = (*SHARED, f"seed={args.seed}", f"{FINETUNE}.trainer.max_epochs={finetune}")
    both = (*shared, "task=plasticc", f"{PRETRAIN}.trainer.max_epochs={pretrain}")
    alone = (*shared, "task=plasticc_finetune")
    rows: list[list[Cell]] = []
    for name, own in WHOLE.items():
        rows.append(tested(name, runs, (*both, *own)))
    backbone = f"{FINETUNE}.module.backbone={folder(runs, 'transformer') / 'checkpoints/pretrain/best.ckpt'}"
    rows.append(tested("without pretraining", runs, (*alone, *SIZE)))
    for name, own in TUNED.items():
        rows.append(tested(name, runs, (*alone, *own, backbone)))
    trees = "boosted trees on hand features"
    rows.append(tested(trees, runs, (*SHARED, f"seed={args.seed}", *TREES)))
    rows.append(averaged("transformer and boosted trees, averaged", [folder(runs, n) for n in ("transformer", trees)]))
    write_table(
        "plasticc_ablation",
        "Light curves: what each part is worth",
        COLUMNS,
        rows,
        note=f"MALLORN, one split (20% of the objects tested), one seed; width 48, 2 layers, {pretrain} epochs of pretraining and "
        f"{finetune} of fine-tuning, at most 96 observations in training. Intervals: bootstrap over the test objects.",
        command=f"python -m benchmarks.plasticc_ablation RUNS --epochs {pretrain} {finetune}",
        seeds=[args.seed],
    )


def folder(runs: Path, name: str) -> Path:
    """The run folder of a row."""
    return runs / name.replace(",", "").replace(" ", "_")


def tested(name: str, runs: Path, words: Sequence[str]) -> list[Cell]:
    """The row of a run."""
    run(folder(runs, name), words)
    return averaged(name, [folder(runs, name)])


def averaged(name: str, folders: Sequence[Path]) -> list[Cell]:
    """The row of the mean of the probabilities of runs with one test set."""
    tables = [pq.read_table(path / "predictions.parquet").sort_by("id") for path in folders]
    classes = [c.removeprefix("prob_") for c in tables[0].column_names if c.startswith("prob_") and c != "prob_99"]
    if any(table["id"] != tables[0]["id"] for table in tables):
        raise ValueError(f"{name}: the runs have different test objects")
    mean = np.mean([probabilities(table, classes) for table in tables], 0)
    merged = tables[0].select(["label"])
    for i, class_ in enumerate(classes):
        merged = merged.append_column(f"prob_{class_}", [mean[:, i]])
    found = classification_metrics(merged, classes)

    def both(rows: np.ndarray) -> np.ndarray:
        drawn = classification_metrics(merged.take(rows), classes)
        return np.array([drawn["accuracy"], drawn["macro_f1"]])

    low, high = bootstrap(both, [np.arange(len(merged))], n=200)
    spans = [f"[{a:.3f}, {b:.3f}]" for a, b in zip(np.asarray(low), np.asarray(high))]
    print(f"{name:<45} {found['accuracy']:.3f} {spans[0]} {found['macro_f1']:.3f} {spans[1]}", flush=True)
    return [name, found["accuracy"], spans[0], found["macro_f1"], spans[1], found["f1_TDE"], found["log_loss"]]


if __name__ == "__main__":
    main()
