"""The sets of objects that the labelling loop begins with."""

import numpy as np

from astro_lightning.data.errors import BadInput


def loop_sets(
    groups: np.ndarray,
    test_share: float,
    n_labelled: int,
    n_pool: int | None,
    val_share: float,
    seed: int,
    calibration_share: float = 0.0,
) -> dict[str, np.ndarray]:
    """Rows of the first labelled (`train`, `val`), the `pool`, the `calibration` and the `test` set, groups kept whole.

    Raises:
        BadInput: Too few objects for the labelled set, or nothing is left for the pool.
    """
    names, code = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    rows = np.argsort(place[code], kind="stable")
    rank = place[code][rows]
    ends = [int(len(rows) * share) for share in (1 - test_share - calibration_share, 1 - test_share)]
    rest, calibration, test = np.split(rows, [np.searchsorted(rank, rank[min(len(rows) - 1, end)]) for end in ends])
    if n_labelled + 2 > len(rest):
        raise BadInput(
            f"{len(rest)} objects beside test and calibration: too few for n_labelled={n_labelled} and a pool"
        )
    labelled, pool = rest[:n_labelled], rest[n_labelled : None if n_pool is None else n_labelled + n_pool]
    # An object whose group was cut by the border belongs to neither side of it.
    pool = pool[~np.isin(code[pool], code[labelled])]
    n_val = round(val_share * n_labelled)
    val, train = labelled[:n_val], labelled[n_val:]
    train = train[~np.isin(code[train], code[val])]
    sets = {"train": train, "val": val, "pool": pool, "calibration": calibration, "test": test}
    return {name: np.sort(part) for name, part in sets.items()}
