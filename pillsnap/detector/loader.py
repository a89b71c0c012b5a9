"""Training batches of the detector: order and augmentation depend on seed, epoch and picture alone, so that neither a
resumed training nor another number of processes that read changes them."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class EpochOrder:
    """The pictures of an epoch, cut into batches and these into parts; a batch sampler.

    Args:
        pictures: how many there are.
        batch: pictures behind a step, over all processes; a multiple of `processes`.
        parts: parts that a batch is computed in.
        seed: seed of the order.
        rank, processes: this process's number and how many share each batch.
    """

    def __init__(self, pictures: int, *, batch: int, parts: int, seed: int, rank: int = 0, processes: int = 1) -> None:
        self._pictures, self._seed, self._rank, self._processes = pictures, seed, rank, processes
        self._own_batch = batch // processes
        self.part = -(-self._own_batch // parts)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration gives."""
        self._epoch = epoch

    def batches(self) -> list[list[tuple[int, int]]]:
        """(epoch, picture) of this process, batch by batch; every process has as many in each."""
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._pictures)
        order = np.resize(order, -(-self._pictures // self._processes) * self._processes)
        own = [(self._epoch, int(picture)) for picture in order[self._rank :: self._processes]]
        return [own[start : start + self._own_batch] for start in range(0, len(own), self._own_batch)]

    def part_ends(self) -> list[bool]:
        """For each part of an epoch, whether its batch ends with it."""
        counts = [-(-len(batch) // self.part) for batch in self.batches()]
        return [part == count - 1 for count in counts for part in range(count)]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.batches():
            yield from (batch[start : start + self.part] for start in range(0, len(batch), self.part))

    def __len__(self) -> int:
        return -(-self._pictures // self._processes)


class _Drawn(Dataset):
    """Pictures augmented with draws of their own: the item (epoch, picture)."""

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
        # ultralytics keeps decoded pictures for its mosaics, which are off: what comes later must not depend on them
        self._dataset.buffer.clear()
        self._dataset.ims[picture] = None
        return item


class EpochLoader:
    """What ultralytics' trainer needs of a loader; `set_epoch` of its `sampler` chooses the epoch.

    Args:
        dataset: ultralytics' one, with augmentation.
        order: what comes when.
        seed: seed of the augmentation.
        workers: processes that read; 0 reads in this one.
        pin_memory: whether batches go to a GPU.
    """

    drop_last = False

    def __init__(self, dataset: Any, order: EpochOrder, *, seed: int, workers: int, pin_memory: bool) -> None:
        self.dataset, self.sampler, self.num_workers, self.batch_size = dataset, order, workers, order.part
        self._loader = DataLoader(
            _Drawn(dataset, seed),
            batch_sampler=order,
            num_workers=workers,
            collate_fn=dataset.collate_fn,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )
        self._steps = len(order.part_ends())

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # the trainer makes two iterators an epoch and uses one: nothing is read before the first batch is asked for
        yield from self._loader

    def close(self) -> None:
        """End the processes that read."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
            self._loader._iterator = None
