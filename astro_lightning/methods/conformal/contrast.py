"""Novelty learned on the batch itself: what sets the new objects apart from known ones."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from xgboost import XGBClassifier

from astro_lightning.data.errors import BadInput


def batch_contrast(
    reference: ArrayLike, calibration: ArrayLike, batch: ArrayLike, members: int = 3, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score by a classifier of known objects against calibration and batch together (AdaDetect).

    Marandon, Lei, Mary & Roquain 2024 (Ann. Stat. 52, 157): because the classifier treats calibration and batch alike,
    the conformal p-values stay valid and Benjamini-Hochberg keeps the FDR, while the score learns the unknown class
    from the batch, without a label. It needs a batch with tens of unknown objects, and it takes for novel whatever
    differs between training and batch: on a biased training set use the scores of `novelty` instead.

    Args:
        reference: features of known training objects, shape (n, features), NaN allowed; learned embeddings out of fold.
        calibration: known objects that neither trained nor stopped the model, shape (m, features).
        batch: objects to score, shape (b, features).
        members: boosted forests averaged.
        seed: of the forests.

    Returns:
        Scores of calibration, shape (m,), and batch, shape (b,); larger = more novel.

    Raises:
        BadInput: an empty part.
    """
    r, c, b = (np.asarray(v, dtype=np.float32) for v in (reference, calibration, batch))
    if not (len(r) and len(c) and len(b)):
        raise BadInput(
            f"batch contrast needs reference, calibration and batch: got {len(r)}, {len(c)}, {len(b)} objects"
        )
    mixed = np.vstack([c, b])
    x, y = np.vstack([r, mixed]), np.repeat([0, 1], [len(r), len(mixed)])
    # in a random order, or row sampling by position would tell calibration from batch
    order = np.random.default_rng(seed).permutation(len(x))
    score = np.zeros(len(mixed))
    for member in range(members):
        model = XGBClassifier(
            n_estimators=150,
            max_depth=4,
            learning_rate=0.04,
            subsample=0.6,
            colsample_bytree=0.4,
            min_child_weight=10,
            max_bin=64,
            n_jobs=1,
            random_state=seed + member,
        ).fit(x[order], y[order])
        score += model.predict(mixed, output_margin=True)
    return score[: len(c)], score[len(c) :]
