"""How the classifier reads crops: memory-mapped shards, decoded by workers or kept, moved on the device in batch."""

import contextlib
import functools
import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pillsnap.crops.dataset import Batch, CropDataset, Item

T = TypeVar("T")
_BATCHES_AHEAD = 2
"""Batches that each worker process may have ready."""


class CropBatches:
    """Batches of a `CropDataset` on a device, the same bits whatever reads them.

    All crops are decoded once and kept where they fit into `cache_bytes`. Otherwise each batch is decoded when its turn
    comes: for a GPU by worker processes, several batches ahead; for the CPU by threads just before it is used, since
    whatever decodes meanwhile takes the cores that train.

    Args:
        data: the crops.
        device: `cpu` or `cuda`, where batches are wanted.
        workers: threads or processes that decode, at least 1.
        cache_bytes: memory that decoded crops may take.
    """

    def __init__(self, data: CropDataset, *, device: str, workers: int, cache_bytes: int) -> None:
        self._data, self._device, self._workers = data, device, workers
        self._fits = data.crops > 0 and data.crops * data.side**2 * 3 <= cache_bytes

    def batches(self, order: Sequence[Sequence[Item]]) -> Iterator[Batch]:
        """Read batches in the order given.

        Args:
            order: (pill, choice of crop) of each picture of each batch.

        Yields:
            Pictures uint8 (N, 3, S, S), with channels last in memory, and targets int64 (N,), on the device.

        Raises:
            ValueError: a crop is damaged.
        """
        with contextlib.closing(self._pictures(order)) as pictures:
            targets = (self._data.targets[[pill for pill, _ in items]] for items in order)
            pairs = zip(pictures, targets, strict=True)
            yield from _on_gpu(pairs, self._device) if self._device != "cpu" else _channels_first(pairs)

    def _pictures(self, order: Sequence[Sequence[Item]]) -> Iterator[torch.Tensor]:
        """The batches' pictures, uint8 (N, S, S, 3) on the CPU; the memory of each is the caller's until the next."""
        if self._fits:
            for items in order:
                yield self._kept.index_select(0, torch.tensor(self._data.rows(items)))
        elif self._device == "cpu":
            with ThreadPoolExecutor(self._workers) as pool:
                for items in order:
                    yield torch.from_numpy(self._decoded(self._data.rows(items), pool))
        else:
            yield from _decoded_by_processes(self._data, order, self._workers)

    @functools.cached_property
    def _kept(self) -> torch.Tensor:
        """All crops: uint8 (crops, S, S, 3)."""
        with ThreadPoolExecutor(self._workers) as pool:
            return torch.from_numpy(self._decoded(range(self._data.crops), pool))

    def _decoded(self, rows: Sequence[int], pool: ThreadPoolExecutor) -> np.ndarray:
        pictures = np.empty((len(rows), self._data.side, self._data.side, 3), np.uint8)

        def decode(worker: int) -> None:
            for place in range(worker, len(rows), self._workers):
                self._data.decode(rows[place], pictures[place])

        list(pool.map(decode, range(self._workers)))  # threads: the decoder runs without Python's lock
        return pictures


class _SharedBatches(Dataset):
    """What a worker process does: decode a batch into memory that it shares with the training.

    An anonymous map, since `/dev/shm`, which torch would use, has 64 MB in many containers.
    """

    def __init__(self, data: CropDataset, slots: int, largest: int) -> None:
        self._data = data
        shape = (slots, largest, data.side, data.side, 3)
        self.pictures = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)

    def __getitem__(self, job: tuple[int, list[int]]) -> int:
        slot, rows = job
        for place, row in enumerate(rows):
            self._data.decode(row, self.pictures[slot, place])
        return slot


def _decoded_by_processes(data: CropDataset, order: Sequence[Sequence[Item]], workers: int) -> Iterator[torch.Tensor]:
    """uint8 (N, S, S, 3) for each batch; its memory is overwritten after the next one was asked for."""
    slots = workers * _BATCHES_AHEAD + 1  # those that workers have, and the one that was handed out
    shared = _SharedBatches(data, slots, max(map(len, order), default=0))
    loader = DataLoader(
        shared,
        batch_size=None,
        sampler=[(step % slots, data.rows(items)) for step, items in enumerate(order)],
        num_workers=workers,
        prefetch_factor=_BATCHES_AHEAD,
        multiprocessing_context="fork",  # the memory is inherited
        generator=torch.Generator(),  # the global one, of dropout, stays untouched
    )
    running = iter(loader)
    try:
        for slot, items in zip(running, order, strict=True):
            yield torch.from_numpy(shared.pictures[slot, : len(items)])
    finally:
        running._shutdown_workers()  # at once, even where an exception's traceback still holds the iterator


def _channels_first(pairs: Iterator[Batch]) -> Iterator[Batch]:
    return ((pictures.permute(0, 3, 1, 2), targets) for pictures, targets in pairs)


def _on_gpu(pairs: Iterator[Batch], device: str) -> Iterator[Batch]:
    """Copy batches in a stream of their own, one ahead of the training."""
    stream = torch.cuda.Stream(device)

    def copies() -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.cuda.Event]]:
        for pair in pairs:
            with torch.cuda.stream(stream):
                pictures, targets = (tensor.pin_memory().to(device, non_blocking=True) for tensor in pair)
                copied = pictures.permute(0, 3, 1, 2), targets, stream.record_event()
            yield copied

    with contextlib.closing(_one_ahead(copies())) as ahead:
        for pictures, targets, ready in ahead:
            training = torch.cuda.current_stream(device)
            training.wait_event(ready)
            for tensor in (pictures, targets):
                tensor.record_stream(training)
            yield pictures, targets


def _one_ahead(source: Iterator[T]) -> Iterator[T]:
    """The same things, each made by a thread while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, source, None)
        while (thing := following.result()) is not None:
            following = thread.submit(next, source, None)
            yield thing
