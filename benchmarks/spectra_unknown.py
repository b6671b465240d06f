"""Which unknown kinds a finished spectra run rejects, five of which no network was taught.

Run: python -m benchmarks.spectra_unknown RUN_FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from sklearn.metrics import roc_auc_score

from astro_lightning.core.metrics import probabilities
from astro_lightning.predict.score import Scorer
from astro_lightning.tasks.spectra.scoring import column, is_clean
from astro_lightning.tasks.spectra.simulate import simulate
from astro_lightning.tasks.spectra.unknown import DRAW, EMPTY, HELD_OUT
from benchmarks.table import write_table

N, SEED = 300, 1000
SNR = (10.0, 80.0)


def main(folder: Path) -> None:
    """Score every kind with each fold's network beside the clean spectra that this fold tested."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    templates = Path(config["task"]["twin"]["templates"])
    kinds = {kind: simulate(N, SEED, (0, 0, 0, 1), templates, *SNR, {kind: 1.0}) for kind in DRAW}
    rejected: dict[str, list[float]] = {kind: [] for kind in DRAW}
    areas: dict[str, list[list[float]]] = {kind: [] for kind in DRAW}
    for name in json.loads((folder / "checkpoints" / "predicting.json").read_text()):
        tested = pq.read_table(folder / Path(name).with_name("tested.parquet"))
        scorer = Scorer(folder / name)
        clean = tested.filter(is_clean(tested, scorer.classes))
        for kind, table in kinds.items():
            found = scorer.predict_table(table)
            rejected[kind].append(float(np.mean(found["reject"].to_pylist())))
            truth = np.repeat([0, 1], [len(clean), N])
            scores = [[score(t, scorer.classes) for t in (clean, found)] for score in (distance, logit, doubt)]
            areas[kind].append([roc_auc_score(truth, np.concatenate(pair)) for pair in scores])
    rows = [
        [
            kind,
            "no" if kind in HELD_OUT else "yes",
            float(np.mean(rejected[kind])),
            float(np.min(rejected[kind])),
            *np.mean(areas[kind], axis=0),
        ]
        for kind in DRAW
    ]
    write_table(
        "spectra_unknown",
        "Spectra of unknown kinds",
        [
            "kind",
            "taught",
            "rejected",
            "in the worst fold",
            "ROC area: distance",
            "logit of an unknown kind",
            "top probability",
        ],
        rows,
        f"{N} synthetic spectra of each kind at S/N {SNR[0]:g} to {SNR[1]:g} ({', '.join(EMPTY)}: no object), mean over the "
        "fold networks; ROC area against the clean real spectra that each fold tested; threshold from its validation spectra.",
        "python -m benchmarks.spectra_unknown RUN_FOLDER   # of experiment=spectra_real",
        [SEED],
    )


def distance(table, classes):
    """Distance from known training spectra."""
    return column(table, "ood_score", np.nan)


def logit(table, classes):
    """The network's own logit of an unknown kind."""
    return column(table, "unknown_logit", np.nan)


def doubt(table, classes):
    """Minus the top probability."""
    return -probabilities(table, classes).max(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
