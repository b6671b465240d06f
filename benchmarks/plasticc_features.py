"""What each group of hand features gives: five folds by object, boosted trees alone.

    python benchmarks/plasticc_features.py --data ../shared/data/plasticc --cache feature_cache --survey mallorn

Groups: pulse (one pulse in all bands), bins (means in bins of phase), process (Gaussian process), curve (variability without a
model). Each is shown alone and left out, metadata always in.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb
from sklearn.metrics import f1_score

from astro_lightning.data.records import Records
from astro_lightning.data.splits import folds_by_group
from astro_lightning.data.surveys.mallorn import Mallorn
from astro_lightning.data.surveys.spcc import Spcc
from astro_lightning.tasks.plasticc.feature_data import VERSION, FeatureData

SURVEYS = {"mallorn": Mallorn, "spcc": Spcc}
GROUPS = ("pulse", "bins", "process", "curve")
PARAMETERS = {
    "eta": 0.08,
    "max_depth": 4,
    "subsample": 0.8,
    "colsample_bytree": 0.15,
    "min_child_weight": 2,
    "reg_lambda": 3,
}
ROUNDS, FOLDS = 150, 5


def load(survey: str, folder: Path, cache: Path) -> tuple[np.ndarray, list[str], Records]:
    """Features (n, n_features) with their names, and the labelled records."""
    reader = SURVEYS[survey]()
    records = Records.from_table(pa.concat_tables(reader.read(folder / survey, part="labelled")))
    info: dict[str, Any] = {"bands": reader.bands, "deredden": True}
    info["features"] = list(FeatureData.features(records, np.arange(2), info))
    file = cache / f"{survey}-{VERSION}-{len(info['features'])}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, FeatureData.matrix(records, np.arange(len(records)), info))
    return np.load(file), info["features"], records


def cross_validated(x: np.ndarray, y: np.ndarray, fold: np.ndarray, balance: float) -> np.ndarray:
    """Class number of each object from the trees that never saw it."""
    decided = np.empty_like(y)
    parameters = {
        **PARAMETERS,
        "objective": "multi:softprob",
        "num_class": int(y.max()) + 1,
        "max_bin": 64,
        "nthread": 1,
    }
    for k in range(FOLDS):
        train = fold != k
        weight = (np.bincount(y[train]) ** -balance)[y[train]]
        matrix = xgb.QuantileDMatrix(x[train], y[train], weight=weight / weight.mean(), max_bin=64)
        decided[~train] = xgb.train(parameters, matrix, ROUNDS).inplace_predict(x[~train]).argmax(1)
    return decided


def main() -> None:
    """Print one line for each choice of features."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mallorn/ and spcc/")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the features")
    parser.add_argument("--survey", choices=SURVEYS, default="mallorn")
    parser.add_argument("--balance", type=float, default=0.5, help="weight of a class is count^-balance")
    args = parser.parse_args()
    x, names, records = load(args.survey, args.data, args.cache)
    classes, y = np.unique(records.labels.astype(str), return_inverse=True)
    fold = folds_by_group(records.ids, records.labels, FOLDS, 0)
    group = np.array([name.split("_")[0] for name in names])
    choices = {"all": group != ""}
    choices |= {f"{name} alone": np.isin(group, [name, "meta"]) for name in GROUPS}
    choices |= {f"without {name}": group != name for name in GROUPS}
    choices["metadata alone"] = group == "meta"
    for title, chosen in choices.items():
        decided = cross_validated(x[:, chosen], y, fold, args.balance)
        f1 = f1_score(y, decided, average=None)
        each = " ".join(f"{name} {value:.3f}" for name, value in zip(classes, f1, strict=True))
        share = (decided == y).mean()
        error = np.std([(decided == y)[fold == k].mean() for k in range(FOLDS)]) / FOLDS**0.5
        print(
            f"{title:16} {chosen.sum():4d} features  accuracy {share:.4f} +- {error:.4f}  macro-F1 {f1.mean():.4f}  {each}",
            flush=True,
        )


if __name__ == "__main__":
    main()
