import errno
import time

import numpy as np
import pytest

from astro_lightning.core.loader import BatchSampler, ahead, make_loader


def keys(sampler):
    return [(rows.tolist(), seed) for rows, seed in sampler]


def test_an_epoch_is_repeated_exactly_and_the_next_differs():
    sampler = BatchSampler(np.arange(100), 8, shuffle=True, seed=1)
    first = keys(sampler)
    assert keys(sampler) == first
    sampler.set_epoch(1)
    assert keys(sampler) != first
    assert sorted(row for rows, _ in keys(sampler) for row in rows) == list(range(100))


def test_no_two_batches_draw_the_same_random_numbers():
    seeds = []
    for seed in (1, 2):
        sampler = BatchSampler(np.arange(40), 8, shuffle=True, seed=seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            seeds += [one for _, one in keys(sampler)]
    assert len(set(seeds)) == len(seeds) == 30


def test_in_order_without_shuffle_and_every_row_once():
    sampler = BatchSampler(np.array([5, 3, 9]), 2)
    assert [rows for rows, _ in keys(sampler)] == [[5, 3], [9]]


def test_buckets_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(1, 1000, 3200)
    plain = BatchSampler(np.arange(3200), 32, shuffle=True)
    bucketed = BatchSampler(np.arange(3200), 32, shuffle=True, lengths=lengths)
    padded = [sum(len(rows) * lengths[rows].max() for rows, _ in sampler) for sampler in (plain, bucketed)]
    assert padded[1] < 1.1 * lengths.sum() < padded[0]


def test_ranks_share_an_epoch_and_step_equally_often():
    samplers = [BatchSampler(np.arange(70), 8, shuffle=True, rank=rank, world_size=2) for rank in (0, 1)]
    batches = [keys(sampler) for sampler in samplers]
    assert len(batches[0]) == len(batches[1]) == len(samplers[0])
    assert {row for one in batches for rows, _ in one for row in rows} == set(range(70))


def test_few_rows_still_give_each_rank_a_batch():
    assert all(len(keys(BatchSampler(np.arange(3), 64, rank=rank, world_size=2))) == 1 for rank in (0, 1))


def test_weights_balance_classes():
    labels = np.array([0] * 950 + [1] * 50)
    sampler = BatchSampler(np.arange(1000), 100, shuffle=True, weights=1 / np.bincount(labels)[labels])
    drawn = np.concatenate([rows for rows, _ in sampler])
    assert 0.4 < labels[drawn].mean() < 0.6


def test_a_small_set_is_not_dropped():
    assert len(list(BatchSampler(np.arange(5), 64, shuffle=True, drop_last=True))) == 1


def test_the_loader_takes_its_epoch_from_the_trainer():
    class Progress:
        class current:
            processed = 3

    class Trainer:
        class fit_loop:
            epoch_progress = Progress

    class Rows:
        def __getitem__(self, key):
            return {"row": key[0]}

    sampler = BatchSampler(np.arange(50), 8, shuffle=True)
    seen = [batch["row"].tolist() for batch in make_loader(Rows(), sampler, trainer=Trainer)]
    fresh = BatchSampler(np.arange(50), 8, shuffle=True)
    fresh.set_epoch(3)
    assert seen == [rows for rows, _ in keys(fresh)]


def test_batches_made_ahead_are_the_same_and_an_error_reaches_the_one_who_waits():
    assert list(ahead(iter(range(1, 8)))) == list(range(1, 8))
    assert next(ahead(iter(range(1, 8)))) == 1

    def broken():
        yield 1
        raise ValueError("bad row")

    batches = ahead(broken())
    assert next(batches) == 1
    with pytest.raises(ValueError, match="bad row"):
        next(batches)


def test_the_loader_counts_the_time_that_its_user_waits():
    class Slow:
        def __getitem__(self, key):
            time.sleep(0.02)
            return {"row": key[0]}

    loader = make_loader(Slow(), BatchSampler(np.arange(10), 2), trainer=object())
    for _ in loader:
        time.sleep(0.06)
    assert 0.015 < loader.waited_s < 0.09


class FullOfShm:
    """A batch that cannot be handed over, as where /dev/shm is full."""

    def __reduce__(self):
        raise OSError(errno.ENOSPC, "No space left on device")


class Batches:
    def __getitem__(self, key):
        return {"x": FullOfShm()}


def test_a_batch_that_cannot_be_handed_over_ends_the_wait_for_it():
    batches = iter(make_loader(Batches(), BatchSampler(np.arange(4), 2), workers=1))
    with pytest.raises(RuntimeError, match=r"DataLoader worker .* exited unexpectedly"):
        next(batches)
