"""From scores of light curves to a catalogue: curves of one source, several algorithms, objects to label next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

RULES: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median, "max": np.max}


def consolidate(scores: pa.Table, rule: str) -> pa.Table:
    """One row per source out of one row per light curve.

    Args:
        scores: Columns `prob_*` and `source`.
        rule: `mean`, `median` or `max` of the probabilities; words are taken from the first curve.
    """
    frame = scores.to_pandas()
    kinds = {name: rule if name.startswith("prob_") else "first" for name in frame.columns if name != "source"}
    return pa.Table.from_pandas(frame.groupby("source", sort=False).agg(kinds).reset_index(), preserve_index=False)


def labels_above(scores: pa.Table, tags: Sequence[str], threshold: float = 0.5) -> list[list[str]]:
    """The tags of each object whose probability is above the threshold."""
    on = np.column_stack([scores[f"prob_{tag}"].to_numpy() > threshold for tag in tags])
    return [[tag for tag, above in zip(tags, row) if above] for row in on]


def labelling_sample(
    scores: pa.Table, tags: Sequence[str], known: np.ndarray, count: int = 1000, least: float = 0.9, seed: int = 0
) -> pa.Table:
    """Objects for people to look at: of each tag, at random among those it is probable for, each object once.

    Args:
        scores: `id` and `prob_<tag>`.
        tags: In the order in which they choose.
        known: Ids that have labels already; they are left out.
        count: Objects of each tag.
        least: Least probability; where too few reach it, the most probable ones are taken.
        seed: Of the random choice.

    Returns:
        `id`, `tag` that chose it, `probability`.
    """
    rng = np.random.default_rng(seed)
    ids = scores["id"].to_numpy()
    free = ~np.isin(ids, known)
    chosen, tag_of, probability_of = [], [], []
    for tag in tags:
        probability = scores[f"prob_{tag}"].to_numpy()
        order = np.flatnonzero(free)[np.argsort(-probability[free], kind="stable")]
        sure = order[probability[order] >= least]
        taken = rng.choice(sure, count, replace=False) if len(sure) >= count else order[:count]
        free[taken] = False
        chosen.append(taken)
        tag_of += [tag] * len(taken)
        probability_of.append(probability[taken])
    rows = np.concatenate(chosen)
    return pa.table({"id": ids[rows], "tag": tag_of, "probability": np.concatenate(probability_of)})


def merge_votes(votes: pa.Table) -> pa.Table:
    """Labels that people agree on: those with more votes for than against.

    Args:
        votes: `id`, `tag` and `vote` (1 for, -1 against), one row per vote.

    Returns:
        `id`, `tag`, `net` for net votes of 1 or more.
    """
    net = votes.to_pandas().groupby(["id", "tag"], sort=False)["vote"].sum().rename("net").reset_index()
    return pa.Table.from_pandas(net[net["net"] >= 1], preserve_index=False)
