import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.rb_vae_rnn.folds import fold_numbers, fold_split

RNG = np.random.default_rng(0)
IDS, GROUPS = np.arange(400) + 10**15, RNG.integers(0, 40, 400)
LABELS = RNG.choice(["artefact", "other"], 400).astype(object)


@pytest.mark.parametrize("protocol", ["field", "random"])
def test_folds_do_not_depend_on_the_order_of_rows(protocol):
    fold = fold_numbers(IDS, GROUPS, LABELS, protocol, 5, 7)
    order = RNG.permutation(400)
    assert np.array_equal(fold_numbers(IDS[order], GROUPS[order], LABELS[order], protocol, 5, 7), fold[order])
    assert np.bincount(fold).min() > 60


def test_no_field_is_in_two_parts():
    fold = fold_numbers(IDS, GROUPS, LABELS, "field", 5, 7)
    parts = fold_split(fold, GROUPS, 2, 0.1, 7)
    fields = [set(GROUPS[parts[name]]) for name in ("train", "val", "test")]
    assert not (fields[0] & fields[1] or fields[0] & fields[2] or fields[1] & fields[2])
    assert sum(len(rows) for rows in parts.values()) == 400
    assert 0 < len(parts["val"]) <= 0.15 * 400


def test_impossible_folds_are_bad_input():
    with pytest.raises(BadInput):
        fold_numbers(IDS, np.zeros(400), LABELS, "field", 5, 7)
    with pytest.raises(BadInput):
        fold_numbers(IDS, GROUPS, LABELS, "published", 5, 7)
