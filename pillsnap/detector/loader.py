"""Load training batches of the detector: order and augmentation are functions of seed, epoch and picture, so that
neither a resumed training nor another number of workers changes them."""

import logging
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pillsnap.hardware import shared_memory_free

log = logging.getLogger(__name__)


PREFETCHED = 5
"""Batches that a worker process holds: ultralytics prefetches four, torch two, and one is being made."""


def workers_that_fit(requested: int, batch_bytes: int, *, share: float) -> int:
    """Number of worker processes whose batches fit into the shared memory through which they pass them; where they do
    not, as in many containers, the kernel would kill the training with SIGBUS.

    Args:
        requested: at most so many.
        batch_bytes: of a batch.
        share: of the free shared memory that they may take.

    Returns:
        0 where not even one fits: the training's own process loads then.
    """
    free = shared_memory_free()
    if free is None or (fitting := int(free * share / (PREFETCHED * batch_bytes))) >= requested:
        return requested
    log.warning("%d reader processes in place of %d: /dev/shm has %d MiB free", fitting, requested, free // 2**20)
    return fitting


class EpochBatchSampler:
    """Batch sampler of an epoch's pictures: each batch in `accumulation_steps` micro-batches.

    Args:
        pictures: number of pictures.
        batch: global batch size, over all processes; a multiple of `world_size`.
        accumulation_steps: micro-batches of a batch.
        seed: seed of the order.
        rank, world_size: this process among those that share each batch.
    """

    def __init__(
        self, pictures: int, *, batch: int, accumulation_steps: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._pictures, self._seed, self._rank, self._world_size = pictures, seed, rank, world_size
        self._shard = batch // world_size
        self.micro_batch = -(-self._shard // accumulation_steps)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0, of the next iteration."""
        self._epoch = epoch

    def batches(self) -> list[list[tuple[int, int]]]:
        """(epoch, picture) of this process, batch by batch; every process has as many in each."""
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._pictures)
        order = np.resize(order, -(-self._pictures // self._world_size) * self._world_size)
        own = [(self._epoch, int(picture)) for picture in order[self._rank :: self._world_size]]
        return [own[start : start + self._shard] for start in range(0, len(own), self._shard)]

    def step_ends(self) -> list[bool]:
        """For each micro-batch of an epoch, whether a step of the optimizer follows."""
        counts = [-(-len(batch) // self.micro_batch) for batch in self.batches()]
        return [number == count - 1 for count in counts for number in range(count)]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.batches():
            yield from (batch[start : start + self.micro_batch] for start in range(0, len(batch), self.micro_batch))

    def __len__(self) -> int:
        return -(-self._pictures // self._world_size)


class _SeededDataset(Dataset):
    """Pictures, each augmented with random numbers of its own: the item (epoch, picture)."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self._dataset, self._seed = dataset, seed

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, picture = key
        first, second, third = np.random.SeedSequence((self._seed, epoch, picture)).generate_state(3)
        random.seed(int(first))
        np.random.seed(second)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(third))
            item = self._dataset[picture]
        # ultralytics keeps decoded pictures for its mosaics, which are off: later pictures must not depend on them
        self._dataset.buffer.clear()
        self._dataset.ims[picture] = None
        return item


class EpochLoader:
    """Data loader with the attributes that ultralytics' trainer uses; `set_epoch` of its `sampler` sets the epoch.

    Args:
        dataset: ultralytics' one, with augmentation.
        sampler: order of the pictures.
        seed: seed of the augmentation.
        workers: worker processes; 0 loads in this one.
        pin_memory: whether batches go to a GPU.
    """

    drop_last = False

    def __init__(self, dataset: Any, sampler: EpochBatchSampler, *, seed: int, workers: int, pin_memory: bool) -> None:
        self.dataset, self.sampler, self.num_workers, self.batch_size = dataset, sampler, workers, sampler.micro_batch
        self._loader = DataLoader(
            _SeededDataset(dataset, seed),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=dataset.collate_fn,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )
        self._length = len(sampler.step_ends())

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # the trainer makes two iterators an epoch and uses one: nothing is loaded before the first batch is requested
        yield from self._loader

    def close(self) -> None:
        """Stop the worker processes."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
            self._loader._iterator = None
