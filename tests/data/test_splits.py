import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_lightning.data.errors import BadInput
from astro_lightning.data.splits import folds_by_group, split_by_group, train_and_val

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), siblings=st.integers(1, 4))
def test_groups_stay_whole_every_row_has_one_part_and_order_does_not_matter(seed, siblings):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(200), siblings)
    labels = np.where(groups % 5 == 0, "rare", "common").astype(object)
    parts = split_by_group(groups, labels, SHARES, seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(groups)))
    for one in parts:
        for other in parts:
            if one != other:
                assert not set(groups[parts[one]]) & set(groups[parts[other]])
    shuffle = rng.permutation(len(groups))
    again = split_by_group(groups[shuffle], labels[shuffle], SHARES, seed)
    assert set(groups[shuffle][again["test"]]) == set(groups[parts["test"]])


def test_classes_keep_their_proportions():
    labels = np.array(["a"] * 900 + ["b"] * 100, dtype=object)
    parts = split_by_group(np.arange(1000), labels, SHARES, 3)
    assert [len(parts[part]) for part in ("train", "val", "calibration", "test")] == pytest.approx(
        [700, 100, 0, 200], abs=3
    )
    assert (labels[parts["test"]] == "b").sum() == pytest.approx(20, abs=1)


def test_a_class_of_one_object_is_learnt_from():
    labels = np.array(["a"] * 99 + ["lonely"], dtype=object)
    for seed in range(20):
        assert 99 in split_by_group(np.arange(100), labels, SHARES, seed)["train"]


@pytest.mark.parametrize(
    "shares", [{"train": 0.7}, {"train": 0.5, "tset": 0.5}, {"train": 1.2, "test": -0.2}, {"train": float("nan")}]
)
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(BadInput, match=r"data\.split"):
        split_by_group(np.arange(10), np.full(10, None), shares, 0)


def test_an_empty_part_is_refused():
    with pytest.raises(BadInput, match=r"data\.split\.\w+=.*empty"):
        split_by_group(np.arange(2), np.full(2, None), {"train": 0.9, "val": 0.05, "test": 0.05}, 0)


def test_folds_are_whole_groups_and_even():
    groups = np.repeat(np.arange(50), 3)
    labels = np.where(groups < 10, "a", "b").astype(object)
    fold = folds_by_group(groups, labels, 5, 0)
    assert all(len(set(fold[groups == g])) == 1 for g in range(50))
    assert np.bincount(fold[groups < 10]).tolist() == [6] * 5
    with pytest.raises(BadInput, match="folds"):
        folds_by_group(np.arange(3), np.full(3, None), 5, 0)


def test_some_rows_are_divided_among_train_and_val_alone():
    rows = np.arange(1, 100, 2)
    parts = train_and_val(np.arange(100) // 4, np.full(100, None), rows, 0.2, 0)
    assert sorted(np.concatenate([parts["train"], parts["val"]])) == rows.tolist()
    assert len(parts["val"]) == 10 and not len(parts["test"]) and not len(parts["calibration"])
