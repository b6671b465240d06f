"""The labelling loop on DES candidates over several seeds, compared pair by pair, and what its choices are worth.

    python -m benchmarks.rb_des SEEDS [FOLDER]

Each seed draws its own labelled set, pool and test set; the differences are of stages or runs on one test set, so its error
cancels. Runs go to FOLDER, where those that are there already are taken as they are.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.runs import run
from benchmarks.seeds import over_seeds
from benchmarks.table import Cell, write_table

LOOP = {
    "its": "trees",
    "random": "trees",
    "als": "trees",
    "peer1": "perceptron, the labels of als",
    "ssls1": "perceptron, soft labels of als and peer1",
    "ssls2": "trees, twice as many, soft labels of all three",
    "full": "trees, all labels of the pool",
}
NETWORK = ["task.main=perceptron", "task.peers=[]", "task.baselines=false", "task.loop.pseudo=soft"]
STUDENT, ALONE = ["task.rounds=[student]"], ["task.rounds=[]"]
# With two classes margin, entropy and least confidence are one order of the pool.
CHOICES = {
    "random": [*ALONE, "task.loop.acquisition=random"],
    "margin": [*STUDENT, "task.loop.acquisition=margin"],
    "core_set": [*ALONE, "task.loop.acquisition=core_set"],
    "bald": [*ALONE, "task.loop.acquisition=bald"],
    "margin, no average of weights": [*STUDENT, "task.learner.perceptron.trainer.ema_decay=0"],
    "margin, hard labels above 0.95": [*STUDENT, "task.loop.pseudo=hard"],
}


def sums(words: list[str], n_seeds: int, folder: Path) -> list[dict[str, float]]:
    """Sum of the six metrics of every stage, one dict a seed; the last stage is `last`."""
    found = []
    for seed in range(n_seeds):
        of_seed = ["report=false", f"seed={seed}", f"data.split_seed={seed}"]
        common = ["experiment=rb_des", "trainer=cpu", "callbacks=quiet", *of_seed]
        metrics = run(folder.resolve() / str(seed), [*common, *words])
        own = {k.removeprefix("test/").removesuffix("_sum"): v for k, v in metrics.items() if k.endswith("_sum")}
        found.append(own | {"last": metrics["test/sum"]})
    return found


def loop(n_seeds: int, folder: Path) -> Path:
    """The table of the stages."""
    runs = sums([], n_seeds, folder / "loop")
    by_stage = {name: [run["last" if name == "ssls2" else name] for run in runs] for name in LOOP}
    rows: list[list[Cell]] = []
    for name, learner in LOOP.items():
        random, als = (over_seeds(np.subtract(by_stage[name], by_stage[other])) for other in ("random", "als"))
        spread = float(np.std(by_stage[name], ddof=1)) if n_seeds > 1 else float("nan")
        rows.append([name, learner, float(np.mean(by_stage[name])), spread, *random, *als])
    return write_table(
        "rb_des",
        "The labelling loop on DES candidates",
        ["stage", "learner", "Sum", "scatter", "minus random", "+-", "minus als", "+- (als)"],
        rows,
        note="900 labels (90 of them validation), then 100 selected by margin; pool: all other training objects; 2,997 test "
        "objects. Differences are paired by seed, +- is their 95% interval over seeds.",
        command=f"python -m benchmarks.rb_des {n_seeds}",
        seeds=range(n_seeds),
    )


def choices(n_seeds: int, folder: Path) -> Path:
    """The table of acquisitions, teachers and pseudo labels, a perceptron learning."""
    runs = {
        name: sums(NETWORK + words, n_seeds, folder / f"choice{i}") for i, (name, words) in enumerate(CHOICES.items())
    }
    rows: list[list[Cell]] = []
    random = [run["last"] for run in runs["random"]]
    for name, words in CHOICES.items():
        taught = "task.rounds=[student]" in words
        als = [run["als" if taught else "last"] for run in runs[name]]
        gain = np.subtract([run["last"] for run in runs[name]], als)
        last: tuple[Cell, Cell] = over_seeds(gain) if taught else (None, None)
        rows.append([name, float(np.mean(als)), *over_seeds(np.subtract(als, random)), *last])
    return write_table(
        "rb_des_choices",
        "Choices of the labelling loop on DES candidates, a perceptron learning",
        ["choice", "Sum of ALS", "minus random", "+-", "student minus ALS", "+- (student)"],
        rows,
        note="As above with one perceptron throughout. margin is also entropy and least confidence: with two classes they are one "
        "order of the pool. student: one round on the ALS model's labels of the pool, soft unless said otherwise.",
        command=f"python -m benchmarks.rb_des {n_seeds}",
        seeds=range(n_seeds),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch)
        for table in (loop, choices):
            print(table(int(sys.argv[1]), place))
