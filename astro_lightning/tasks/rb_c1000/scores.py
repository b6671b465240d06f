"""The numbers by which real/bogus classifiers are compared."""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

SIX = ("precision", "accuracy", "recall", "f1", "mcc", "ap")


def real_bogus_scores(
    is_real: np.ndarray, p_real: np.ndarray, recall_at: tuple[int, ...] = (100, 1000)
) -> dict[str, float]:
    """The six metrics of RB-C1000 with their sum, and what surveys ask for.

    Args:
        is_real: (n,) truth.
        p_real: (n,) probability of being real.
        recall_at: Numbers K of top candidates; those above n are left out.

    Returns:
        `precision`, `accuracy`, `recall`, `f1`, `mcc`, `ap`; `sum` = 100 times their sum, at most 600; `ap_published`, which
        ranks the predicted positives alone; `auc`; `mdr_at_fpr_1` = share of missed real objects at 1% false positives;
        `recall_at_<K>`. Areas are absent where only one class is there.
    """
    truth, decided = np.asarray(is_real, dtype=bool), np.asarray(p_real) > 0.5
    scores = {
        "precision": precision_score(truth, decided, zero_division=0),
        "accuracy": accuracy_score(truth, decided),
        "recall": recall_score(truth, decided, zero_division=0),
        "f1": f1_score(truth, decided, zero_division=0),
        "mcc": matthews_corrcoef(truth, decided),
    }
    if truth.any() and not truth.all():
        scores["ap"] = average_precision_score(truth, p_real)
        scores["sum"] = 100 * sum(scores[name] for name in SIX)
        positives = truth[decided]
        scores["ap_published"] = average_precision_score(positives, p_real[decided]) if positives.any() else 0.0
        scores["auc"] = roc_auc_score(truth, p_real)
        # of tied scores sklearn leaves thresholds out
        false_rate, true_rate, _ = roc_curve(truth, p_real, drop_intermediate=False)
        scores["mdr_at_fpr_1"] = 1 - true_rate[false_rate <= 0.01].max()
        order = np.argsort(-np.asarray(p_real), kind="stable")
        scores |= {f"recall_at_{k}": truth[order[:k]].sum() / truth.sum() for k in recall_at if k <= len(truth)}
    return {name: float(value) for name, value in scores.items()}
