"""The labelling loop on DES candidates over several seeds, compared pair by pair.

    python benchmarks/rb_des.py 10

Each seed draws its own labelled set, pool and test set; the differences are of stages on one test set, so its error cancels.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

STAGES = ("its", "random", "als", "peer1", "ssls1", "full")


def sums(seed: int, folder: Path, words: list[str]) -> dict[str, float]:
    """Sum of the six metrics of every stage for one seed."""
    command = [
        sys.executable,
        "-m",
        "astro_lightning",
        "experiment=rb_des",
        "trainer=cpu",
        "callbacks=quiet",
        "report=false",
    ]
    command += [f"seed={seed}", f"data.split_seed={seed}", f"paths.outputs={folder}", *words]
    subprocess.run(command, check=True, capture_output=True)
    newest = max((folder / "rb_c1000").iterdir(), key=lambda run: run.stat().st_mtime)
    metrics = json.loads((newest / "metrics.json").read_text())
    return {stage: metrics[f"test/{stage}_sum"] for stage in STAGES} | {"ssls2": metrics["test/sum"]}


def main(n_seeds: int, words: list[str]) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [sums(seed, Path(folder), words) for seed in range(n_seeds)]
    names = [*STAGES, "ssls2"]
    table = np.array([[row[name] for name in names] for row in rows])
    print(f"{'stage':8s} {'Sum':>7s} {'std':>5s} {'minus ALS':>10s} {'error':>6s}   ({n_seeds} seeds)")
    for i, name in enumerate(names):
        difference = table[:, i] - table[:, names.index("als")]
        error = difference.std(ddof=1) / np.sqrt(n_seeds) if n_seeds > 1 else float("nan")
        print(f"{name:8s} {table[:, i].mean():7.2f} {table[:, i].std():5.2f} {difference.mean():+10.2f} {error:6.2f}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, sys.argv[2:])
