"""Which pool objects to label next, and which labels of a model to believe.

Every function takes plain arrays, so that networks and boosted trees share them. Larger acquisition scores are asked first.
"""

from collections.abc import Callable

import numpy as np

from astro_lightning.data.errors import BadInput


def least_confidence(probabilities: np.ndarray) -> np.ndarray:
    """1 - max p of probabilities (n, n_classes) -> (n,)."""
    return 1 - probabilities.max(1)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Minus the gap between the two most probable classes of (n, n_classes) -> (n,)."""
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return top[:, 0] - top[:, 1]


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats of (n, n_classes) -> (n,)."""
    return -(probabilities * np.log(np.clip(probabilities, 1e-12, 1))).sum(1)


def bald(draws: np.ndarray) -> np.ndarray:
    """Mutual information of label and model (Houlsby et al. 2011, arXiv:1112.5745).

    Args:
        draws: (n_draws, n, n_classes) probabilities of an ensemble or of dropout passes.

    Returns:
        (n,) entropy of the mean minus mean entropy.
    """
    return entropy(draws.mean(0)) - np.stack([entropy(draw) for draw in draws]).mean(0)


def core_set(embeddings: np.ndarray, labelled: np.ndarray, k: int) -> np.ndarray:
    """Greedy k-centre choice (Sener & Savarese 2018, arXiv:1708.00489).

    Args:
        embeddings: (n, d) of the pool.
        labelled: (m, d) of what is labelled already; m may be 0: the pool's mean then stands for it.
        k: How many to choose.

    Returns:
        (k,) row numbers of the pool, in the order chosen: each is the farthest from all before it.
    """
    # about the mean: far from 0 the differences of squares would be rounding
    centre = np.mean(embeddings, axis=0, dtype=np.float64)
    pool, known = (np.asarray(points - centre, dtype=np.float32) for points in (embeddings, labelled))
    square = (pool**2).sum(1)

    def squared_distance(point: np.ndarray) -> np.ndarray:
        return np.maximum(square - 2 * pool @ point + point @ point, 0)

    nearest = np.full(len(pool), np.inf, dtype=np.float32)
    for point in known:
        np.minimum(nearest, squared_distance(point), out=nearest)
    if not len(known):
        nearest = square.copy()
    chosen = np.empty(min(k, len(pool)), dtype=np.int64)
    for i in range(len(chosen)):
        chosen[i] = nearest.argmax()
        np.minimum(nearest, squared_distance(pool[chosen[i]]), out=nearest)
        nearest[chosen[i]] = -1
    return chosen


SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
}
ACQUISITIONS = (*SCORES, "bald", "core_set", "random")


def select(
    acquisition: str,
    k: int,
    draws: np.ndarray,
    rng: np.random.Generator,
    embeddings: np.ndarray | None = None,
    labelled_embeddings: np.ndarray | None = None,
) -> np.ndarray:
    """The k pool objects an expert should label next.

    Args:
        acquisition: One of `ACQUISITIONS`.
        k: How many.
        draws: (n_draws, n, n_classes) probabilities of the pool; one draw is enough for all but `bald`.
        rng: For `random`, and for ties.
        embeddings: (n, d) of the pool, for `core_set`.
        labelled_embeddings: (m, d) of the labelled objects, for `core_set`.

    Returns:
        (k,) row numbers of the pool.

    Raises:
        BadInput: The acquisition is unknown or lacks what it needs.
    """
    n = draws.shape[1]
    k = min(k, n)
    if acquisition == "random":
        return rng.permutation(n)[:k]
    if acquisition == "core_set":
        if embeddings is None or labelled_embeddings is None:
            raise BadInput(
                "acquisition=core_set needs a network that gives embeddings: choose margin for boosted trees"
            )
        return core_set(embeddings, labelled_embeddings, k)
    if acquisition == "bald":
        if len(draws) < 2 or (draws == draws[0]).all():  # equal draws would choose by rounding
            raise BadInput("acquisition=bald needs several draws that differ: give the network dropout or an ensemble")
        score = bald(draws)
    elif acquisition in SCORES:
        score = SCORES[acquisition](draws.mean(0))
    else:
        raise BadInput(f"acquisition={acquisition} is unknown; choose {', '.join(ACQUISITIONS)}")
    shuffled = rng.permutation(n)
    return shuffled[np.argsort(-score[shuffled], kind="stable")[:k]]


def pseudo_labels(
    probabilities: np.ndarray, threshold: float, class_share: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Pool objects whose class a model is sure of, the surplus class cut to a given share, the surest kept.

    Args:
        probabilities: (n, n_classes) of the pool.
        threshold: Least probability of the most probable class.
        class_share: (n_classes,) share of each class in the labelled set that the result must keep; None keeps all.

    Returns:
        Row numbers, and their classes.
    """
    confidence, label = probabilities.max(1), probabilities.argmax(1)
    rows = np.flatnonzero(confidence >= threshold)
    if class_share is None or not len(rows):
        return rows, label[rows]
    share = np.asarray(class_share, dtype=float)
    wanted = share > 0
    total = (np.bincount(label[rows], minlength=len(share))[wanted] / share[wanted]).min()
    kept = []
    for c in np.flatnonzero(wanted):
        of_class = rows[label[rows] == c]
        kept.append(of_class[np.argsort(-confidence[of_class], kind="stable")[: round(total * share[c])]])
    rows = np.sort(np.concatenate(kept))
    return rows, label[rows]


def trim_to_share(labels: np.ndarray, share: float, tolerance: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of newly labelled binary objects to keep so that the share of class 1 stays near that of the first set.

    Args:
        labels: (k,) 0 or 1.
        share: Wanted share of class 1.
        tolerance: Largest allowed difference; 1 or more keeps all.
        rng: Which of the surplus class to drop.

    Returns:
        Sorted row numbers.
    """
    one, zero = rng.permutation(np.flatnonzero(labels == 1)), rng.permutation(np.flatnonzero(labels == 0))
    n1, n0 = len(one), len(zero)
    while n1 and n0 and abs(n1 / (n1 + n0) - share) > tolerance:
        fewer = (n1 - 1, n0) if n1 / (n1 + n0) > share else (n1, n0 - 1)
        if not min(fewer):  # one class alone has no share to keep to
            break
        n1, n0 = fewer
        # Below one object's weight the share cannot be met any closer.
        if abs(n1 / (n1 + n0) - share) <= 0.5 / (n1 + n0):
            break
    return np.sort(np.concatenate([one[:n1], zero[:n0]]))
