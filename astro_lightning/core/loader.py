"""Batches of whole rows: which rows, in which order, and where their randomness comes from."""

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

Batch = dict[str, torch.Tensor]
Key = tuple[np.ndarray, int]


class BatchDataset(Protocol):
    """What a task gives: a whole batch for a set of rows, vectorised; random choices follow the seed alone."""

    def __getitem__(self, key: Key) -> Batch:
        """The batch of rows `key[0]`, random choices seeded by `key[1]`."""
        ...


class BatchSampler(Sampler[Key]):
    """Yields (rows, seed) for each batch.

    The order of an epoch follows (seed, epoch) alone, so that a resumed run sees the batches of an unbroken one. Batches of
    similar length are formed by sorting inside random pools, which keeps padding small and the order random. Ranks take
    every `world_size`-th batch; some batches are repeated where that is needed for all ranks to step equally often (tests run on
    one rank, so that no object counts twice there).

    Args:
        rows: Row numbers to draw from.
        batch_size: Objects per batch.
        shuffle: Random order for training; the given order otherwise.
        seed: Of the run.
        lengths: Length of each row (same order as `rows`) for bucketing by length, or None.
        weights: Sampling weight of each row: draws with replacement in proportion (balanced classes), or None.
        drop_last: Leave out a last, smaller batch.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        lengths: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rows, self.shuffle, self.seed = np.asarray(rows), shuffle, int(seed)
        # Each rank must get a batch, however few the rows are.
        self.batch_size = min(int(batch_size), max(1, -(-len(rows) // world_size)))
        self.lengths, self.weights = lengths, weights
        # One batch must remain, or a small set would train on nothing without a word.
        self.drop_last = drop_last and len(rows) >= self.batch_size
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        n = len(self.rows) // self.batch_size if self.drop_last else -(-len(self.rows) // self.batch_size)
        return -(-n // self.world_size)

    def __iter__(self) -> Iterator[Key]:
        rng = np.random.default_rng([self.seed, self.epoch])
        index = np.arange(len(self.rows))
        if self.weights is not None:
            index = rng.choice(len(self.rows), size=len(self.rows), p=self.weights / self.weights.sum())
        elif self.shuffle:
            index = rng.permutation(len(self.rows))
        if self.shuffle and self.lengths is not None:
            pool = 50 * self.batch_size
            index = np.concatenate(
                [
                    part[np.argsort(self.lengths[part], kind="stable")]
                    for part in np.split(index, range(pool, len(index), pool))
                ]
            )
        batches = [index[i : i + self.batch_size] for i in range(0, len(index), self.batch_size)]
        if self.drop_last and len(batches[-1]) < self.batch_size:
            batches.pop()
        order = rng.permutation(len(batches)) if self.shuffle else np.arange(len(batches))
        if len(order) % self.world_size:
            order = np.concatenate([order, np.resize(order, self.world_size - len(order) % self.world_size)])
        for i in order[self.rank :: self.world_size]:
            seed = np.random.SeedSequence([self.seed, self.epoch, int(i)]).generate_state(1, np.uint64)[0]
            yield self.rows[batches[i]], int(seed)


class EpochLoader(DataLoader):
    """A DataLoader whose sampler learns the epoch from the Trainer at the moment a pass begins.

    The Trainer fetches the first batch of a resumed run before it tells the sampler its epoch, hence the pull. Training batches
    of a loader without processes of its own are made ahead in a thread.
    """

    trainer: object | None = None
    waited_s = 0.0

    def __iter__(self) -> Any:
        progress = getattr(getattr(self.trainer, "fit_loop", None), "epoch_progress", None)
        if progress is not None and isinstance(self.sampler, BatchSampler) and self.sampler.shuffle:
            self.sampler.set_epoch(progress.current.processed)
        batches = super().__iter__()
        threaded = self.trainer is not None and not self.num_workers and len(self) > 1
        return self._timed(ahead(batches) if threaded else batches)

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited_s += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, up to two of them made in a thread while one is used; NumPy and PyTorch work without the interpreter."""
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, batches, None) for _ in range(2))
        while (batch := made.popleft().result()) is not None:
            made.append(thread.submit(next, batches, None))
            yield batch


def whole(loader: DataLoader) -> DataLoader:
    """The same loader with the batches of all ranks: what is not a step of the Trainer needs every object, on every rank."""
    if isinstance(loader.sampler, BatchSampler):
        loader.sampler.rank, loader.sampler.world_size = 0, 1
    return loader


def make_loader(
    dataset: BatchDataset, sampler: BatchSampler, workers: int = 0, trainer: object | None = None
) -> EpochLoader:
    """A DataLoader that asks the data set for whole batches.

    Args:
        dataset: Makes a batch from (rows, seed).
        sampler: Which rows make which batch.
        workers: Loader processes; 0 loads in the training process, which is the fastest where a batch is small.
        trainer: The Trainer that knows the epoch; None outside training.
    """
    loader = EpochLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_end_with_a_lost_batch,
    )
    loader.trainer = trainer
    return loader


def _end_with_a_lost_batch(worker: int) -> None:
    """A loader process that cannot hand a batch over, as where /dev/shm is full, ends, which the Trainer notices.

    Of itself it would write a traceback and go on, and the Trainer would wait for that batch for ever.
    """
    Queue._on_queue_feeder_error = staticmethod(lambda error, batch: os._exit(1))  # type: ignore[attr-defined]
