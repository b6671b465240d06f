"""Whether the promises held: coverage, set sizes, separation of the unknown, false discoveries; as plain dicts."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike
from scipy.stats import binomtest, rankdata

from astro_lightning.core.metrics import class_numbers, members
from astro_lightning.data.errors import BadInput

Report = dict[str, float | int | None]
LEVEL = 0.95  # of all intervals


def proportion(hits: int, total: int) -> Report:
    """Share with its Clopper-Pearson interval; None where there is no object."""
    if total == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    interval = binomtest(int(hits), int(total)).proportion_ci(LEVEL, method="exact")
    return {"value": hits / total, "low": float(interval.low), "high": float(interval.high), "n": int(total)}


def coverage(member: ArrayLike, label: ArrayLike, classes: Sequence[str]) -> dict[str, Report]:
    """Share of objects whose set holds their class, per class and in all (`all`).

    Args:
        member: prediction sets, shape (objects, classes), bool.
        label: class indices, shape (objects,); known classes only.
        classes: class names.
    """
    m, y = np.asarray(member, dtype=bool), np.asarray(label)
    hit = m[np.arange(len(y)), y]
    out = {str(c): proportion(int(hit[y == k].sum()), int((y == k).sum())) for k, c in enumerate(classes)}
    return out | {"all": proportion(int(hit.sum()), len(hit))}


def set_sizes(member: ArrayLike) -> Report:
    """Mean size of the sets and the shares that are empty, single or larger."""
    size = np.asarray(member, dtype=bool).sum(axis=1)
    if not len(size):
        return {"mean": None, "empty": None, "single": None, "larger": None, "n": 0}
    shares = {"empty": size == 0, "single": size == 1, "larger": size > 1}
    return {"mean": float(size.mean()), "n": len(size), **{k: float(v.mean()) for k, v in shares.items()}}


def auroc(score: ArrayLike, unknown: ArrayLike, resamples: int = 1000) -> Report:
    """Area under the ROC curve of a novelty score, with a percentile bootstrap interval stratified by truth.

    Args:
        score: novelty, shape (objects,); larger = more novel.
        unknown: truth, shape (objects,), bool.
        resamples: bootstrap samples.

    Raises:
        BadInput: one of the two kinds is absent.
    """
    s, u = np.asarray(score, dtype=np.float64), np.asarray(unknown, dtype=bool)
    a, b = s[u], s[~u]
    if not (len(a) and len(b)):
        raise BadInput("AUROC needs known and unknown objects: one kind is absent")
    rank = rankdata(s)
    value = (rank[u].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b))
    # with multiplicities of the resampled objects, ties of a pair count one half
    levels, index = np.unique(s, return_inverse=True)
    rng = np.random.default_rng(0)
    draws = np.empty(resamples)
    for i in range(resamples):
        pos = np.bincount(rng.choice(index[u], len(a)), minlength=len(levels))
        neg = np.bincount(rng.choice(index[~u], len(b)), minlength=len(levels))
        draws[i] = (pos * (np.cumsum(neg) - neg / 2)).sum() / (len(a) * len(b))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(value), "low": float(low), "high": float(high), "n_unknown": len(a), "n_known": len(b)}


def discoveries(flag: ArrayLike, unknown: ArrayLike, asked: float) -> dict[str, Report | float]:
    """What a flagged batch holds: false discovery share against the one asked for, and power.

    The interval is Clopper-Pearson on this batch; the promise of BH is about the mean over batches.

    Args:
        flag: flagged objects, shape (objects,), bool.
        unknown: truth, shape (objects,), bool.
        asked: the false discovery rate asked for.
    """
    f, u = np.asarray(flag, dtype=bool), np.asarray(unknown, dtype=bool)
    return {
        "asked": asked,
        "false_discoveries": proportion(int((f & ~u).sum()), int(f.sum())),
        "power": proportion(int((f & u).sum()), int(u.sum())),
    }


def summary(predictions: pa.Table, classes: Sequence[str]) -> dict[str, float]:
    """Flat metrics of a table with `label`, `set`, `ood_p` and `ood_flag`.

    Args:
        predictions: One row per object. A label that is not among the classes is an unknown kind; rows without one are left
            out.
        classes: class names.
    """
    label = class_numbers(predictions["label"], classes)
    known = label >= 0
    unknown = predictions["label"].is_valid().to_numpy() & ~known
    member = members(predictions["set"], classes)[known]
    found = coverage(member, label[known], classes)
    metrics = {"coverage": found.pop("all")["value"], "set_size": set_sizes(member)["mean"]}
    metrics |= {f"coverage_{name}": each["value"] for name, each in found.items()}
    flag = predictions["ood_flag"].to_numpy()
    metrics["flagged_known"] = float(flag[known].mean()) if known.any() else None
    if unknown.any() and known.any():
        seen = known | unknown
        metrics["ood_auroc"] = auroc(-predictions["ood_p"].to_numpy()[seen], unknown[seen], resamples=1)["value"]
        metrics["ood_false_discoveries"] = float((flag & known).sum() / max(flag[seen].sum(), 1))
        metrics["ood_power"] = float(flag[unknown].mean())
    return {name: float(value) for name, value in metrics.items() if value is not None}
