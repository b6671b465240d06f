"""Unknown-class detection with one class held out at a time, on SPCC and MALLORN.

    python benchmarks/conformal_ood.py --data ../shared/data/plasticc --cache ood_cache

Five folds by object: test a fifth, calibration a fifth, training the rest; the held-out class is in the test fold only,
at its natural share. The classifier is boosted trees on hand features, cross-fitted in four parts of the training set.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from ood_features import build
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from xgboost import XGBClassifier

from astro_lightning.methods.conformal.combine import RankCombination
from astro_lightning.methods.conformal.contrast import batch_contrast
from astro_lightning.methods.conformal.fdr import NoRejection, benjamini_hochberg
from astro_lightning.methods.conformal.novelty import KNearest, Mahalanobis, energy
from astro_lightning.methods.conformal.ranks import Ranks
from astro_lightning.methods.conformal.space import NormalSpace
from astro_lightning.methods.conformal.split import SplitConformal
from astro_lightning.methods.conformal.temperature import scale

CASES = [("spcc", "Ibc"), ("spcc", "Ia"), ("spcc", "II"), *(("mallorn", k) for k in ("TDE", "AGN", "Ia", "CC"))]
PARTS, ALPHA, Q = 4, 0.1, 0.1


def classifier(x: np.ndarray, y: np.ndarray, seed: int) -> XGBClassifier:
    """Boosted trees with fixed settings: nothing is tuned."""
    return XGBClassifier(
        n_estimators=200,
        max_depth=5,
        learning_rate=0.08,
        subsample=0.8,
        colsample_bytree=0.4,
        max_bin=64,
        n_jobs=1,
        random_state=seed,
    ).fit(x, y)


def logits(model: XGBClassifier, x: np.ndarray) -> np.ndarray:
    """Margins per class; a two-class model's one margin is split evenly."""
    margin = model.predict(x, output_margin=True)
    return margin if margin.ndim == 2 else np.stack([-margin / 2, margin / 2], axis=1)


def panel(x: np.ndarray, y: np.ndarray, others: list[np.ndarray], seed: int) -> list[dict[str, np.ndarray]]:
    """Logits and novelty scores of `others` from models of (x, y)."""
    model, space = classifier(x, y, seed), NormalSpace(20).fit(x)
    low = space.transform(x)
    near, near_all = KNearest().fit(low), KNearest().fit(space.normal(x))
    far, far_tied = Mahalanobis(tied=False).fit(low, y), Mahalanobis().fit(low, y)
    out = []
    for b in others:
        z, at = logits(model, b), space.transform(b)
        out.append(
            {
                "logits": z,
                "max-softmax": -scale(z, 1.0).max(axis=1),
                "energy": energy(z),
                "kNN (all features)": near_all.score(space.normal(b)),
                "kNN": near.score(at),
                "Mahalanobis (tied)": far_tied.score(at),
                "Mahalanobis": far.score(at),
            }
        )
    return out


def case(x: np.ndarray, label: np.ndarray, held: str, fold: int) -> list[dict[str, object]]:
    """AUROC, BH outcome and coverage of one held-out class on one fold."""
    folds = [t for _, t in StratifiedKFold(5, shuffle=True, random_state=7).split(x, label)]
    test, cal = folds[fold], folds[(fold + 1) % 5]
    train = np.setdiff1d(np.arange(len(x)), np.r_[test, cal])
    train, cal = train[label[train] != held], cal[label[cal] != held]
    classes, y = np.unique(label[train], return_inverse=True)
    inner: list[dict] = []
    outer: list[list[dict]] = []
    split = StratifiedKFold(PARTS, shuffle=True, random_state=fold).split(train, y)
    for part, (fit, rest) in enumerate(split):
        first, *two = panel(x[train[fit]], y[fit], [x[train[rest]], x[cal], x[test]], part)
        inner.append(first)
        outer.append(two)
    names = list(inner[0])
    own = {n: np.concatenate([p[n] for p in inner]) for n in names}
    at_cal, at_test = ({n: np.mean([p[i][n] for p in outer], axis=0) for n in names} for i in (0, 1))
    scores = {n: (at_cal[n], at_test[n]) for n in names if n != "logits"}
    pair = ("energy", "kNN")
    for method in ("fisher", "cauchy"):
        both = RankCombination(method).fit({n: own[n] for n in pair})
        scores[f"energy + kNN ({method})"] = tuple(both.score({n: s[n] for n in pair}) for s in (at_cal, at_test))
    learned = batch_contrast(x[train], x[cal], x[test])
    scores["batch contrast"] = learned
    alone = scores["energy + kNN (fisher)"]
    union = RankCombination("fisher").fit({"a": np.concatenate(alone), "b": np.concatenate(learned)})
    scores["energy + kNN + batch contrast"] = tuple(union.score({"a": a, "b": b}) for a, b in zip(alone, learned))

    unknown = label[test] == held
    conformal = SplitConformal(list(classes)).fit(scale(at_cal["logits"], 1.0), np.searchsorted(classes, label[cal]))
    inside = conformal.sets(scale(at_test["logits"][~unknown], 1.0), ALPHA)
    covered = inside[np.arange(len(inside)), np.searchsorted(classes, label[test][~unknown])]
    rows = []
    for name, (c, t) in scores.items():
        p = Ranks(c).p_values(t)
        flag = benjamini_hochberg(p, Q, len(c))
        row = {"score": name, "fold": fold, "auroc": roc_auc_score(unknown, t)}
        row |= {"flagged": flag.sum(), "false": (flag & ~unknown).sum(), "found": (flag & unknown).sum()}
        row |= {"unknown": unknown.sum(), "known": (~unknown).sum(), "p<=alpha": (p[~unknown] <= ALPHA).sum()}
        rows.append(row | {"covered": covered.sum(), "set size": inside.sum(1).mean()})
    return rows


def table(rows: pd.DataFrame) -> None:
    """Print AUROC per case (mean over folds), and what BH and the sets did."""
    order = [f"{d} {k}" for d, k in CASES]
    mean = rows.pivot_table(index="score", columns="case", values="auroc")[order]
    spread = rows.pivot_table(index="score", columns="case", values="auroc", aggfunc="sem")[order]
    mean["mean"], mean["worst"] = mean[order].mean(axis=1), mean[order].min(axis=1)
    by_fold = rows.groupby(["score", "fold"]).auroc
    low, high = by_fold.mean().groupby("score").min(), by_fold.mean().groupby("score").max()
    mean["mean: folds"] = [f"{low[s]:.3f}-{high[s]:.3f}" for s in mean.index]
    print("AUROC, mean over folds\n" + mean.sort_values("mean").to_string(float_format="{:.3f}".format))
    print(
        "\nstandard error over folds\n"
        + spread.loc[mean.sort_values("mean").index].to_string(float_format="{:.3f}".format)
    )
    total = rows.groupby(["score", "case"])[
        ["flagged", "false", "found", "unknown", "known", "p<=alpha", "covered"]
    ].sum()
    fdp = (rows["false"] / np.maximum(rows.flagged, 1)).groupby([rows.score, rows.case]).agg(["mean", "sem"])
    total["FDR"], total["FDR se"] = fdp["mean"], fdp["sem"]
    total["power"] = total.found / total.unknown
    total["known p<=alpha"] = total["p<=alpha"] / total.known
    total["coverage"] = total.covered / total.known
    for bound in ("low", "high"):
        total[f"coverage {bound}"] = [
            getattr(binomtest(int(r.covered), int(r.known)).proportion_ci(), bound) for r in total.itertuples()
        ]
    shown = [c for c in mean.sort_values("mean").index if "energy +" in c or c in ("batch contrast", "max-softmax")]
    columns = ["FDR", "FDR se", "power", "known p<=alpha", "coverage", "coverage low", "coverage high"]
    print(f"\nBH at q={Q}, conformal sets at alpha={ALPHA}")
    for name in shown:
        print(f"\n{name}\n" + total.loc[name, columns].loc[order].to_string(float_format="{:.3f}".format))


def main() -> None:
    """Run every case and fold, keep each row in `cache`, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with spcc/ and mallorn/")
    parser.add_argument("--cache", type=Path, required=True, help="folder for features and results")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    args = parser.parse_args()
    warnings.simplefilter("ignore", NoRejection)
    args.cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for data, held in CASES:
        features, label = build(data, args.data, args.cache)
        for fold in args.folds:
            path = args.cache / f"ood_rows_{data}_{held}_{fold}.parquet"
            if not path.is_file():
                rows = pd.DataFrame(case(features.to_numpy(), label, held, fold))
                rows.assign(case=f"{data} {held}").to_parquet(path)
            parts.append(pd.read_parquet(path))
    table(pd.concat(parts, ignore_index=True))


if __name__ == "__main__":
    main()
