"""Load batches of crops onto the device: from memory-mapped shards, decoded by workers or cached."""

import contextlib
import functools
import mmap
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pillsnap.config.training import Classifier
from pillsnap.crops.dataset import Batch, CropDataset, Item
from pillsnap.hardware import usable_threads

T = TypeVar("T")
MAX_WORKERS = 16
"""Threads (CPU) or processes (GPU) that decode crops, at most; no more than there are cores."""
BATCHES_AHEAD = 2
"""`prefetch_factor` of each worker process."""


class CropBatches:
    """Loader of a `CropDataset`'s batches, the same bits by every way of loading.

    All crops are decoded once and cached where they fit into `cache_bytes`. Otherwise each batch is decoded when it is
    due: for a GPU by worker processes, several batches ahead; for the CPU by threads just before it is used, since
    decoding ahead would take cores from the training.

    Args:
        data: the crops.
        device: `cpu` or `cuda`, of the batches.
        workers: threads or processes that decode, at least 1.
        cache_bytes: memory that decoded crops may take.
    """

    def __init__(self, data: CropDataset, *, device: str, workers: int, cache_bytes: int) -> None:
        self._data, self._device, self._workers = data, device, workers
        self._fits = data.crops > 0 and data.crops * data.side**2 * 3 <= cache_bytes

    def batches(self, order: Sequence[Sequence[Item]]) -> Generator[Batch, None, None]:
        """Load batches in a given order.

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

    def _pictures(self, order: Sequence[Sequence[Item]]) -> Generator[torch.Tensor, None, None]:
        """Pictures of each batch, uint8 (N, S, S, 3) on the CPU, in memory that is valid until the next batch."""
        if self._fits:
            for items in order:
                yield self._cache.index_select(0, torch.tensor(self._data.rows(items)))
        elif self._device == "cpu":
            with ThreadPoolExecutor(self._workers) as pool:
                for items in order:
                    yield torch.from_numpy(self._decoded(self._data.rows(items), pool))
        else:
            yield from _decoded_by_processes(self._data, order, self._workers)

    @functools.cached_property
    def _cache(self) -> torch.Tensor:
        """All crops: uint8 (crops, S, S, 3)."""
        with ThreadPoolExecutor(self._workers) as pool:
            return torch.from_numpy(self._decoded(range(self._data.crops), pool))

    def _decoded(self, rows: Sequence[int], pool: ThreadPoolExecutor) -> np.ndarray:
        pictures = np.empty((len(rows), self._data.side, self._data.side, 3), np.uint8)

        def decode(worker: int) -> None:
            for place in range(worker, len(rows), self._workers):
                self._data.decode(rows[place], pictures[place])

        list(pool.map(decode, range(self._workers)))  # threads: the decoder releases the GIL
        return pictures


class Crops:
    """Both splits of a crops folder, and their loaders: for one of `processes`, which share cores and cache.

    Attributes:
        device: of the batches, `cuda:1` for instance; `kind` is `cpu` or `cuda`.
        train, val: the splits.
        train_batches, val_batches: their loaders.
    """

    def __init__(self, folder: Path, settings: Classifier, *, device: str, processes: int = 1) -> None:
        self.device, self.kind = device, device.split(":")[0]
        self.train, self.val = CropDataset(folder, "train"), CropDataset(folder, "val")
        # the cache is shared by number of pills: either both splits fit, or neither
        each = settings.cache_gb * 1e9 / processes / (len(self.train) + len(self.val))
        workers = max(1, usable_threads(MAX_WORKERS * processes) // processes)
        self.train_batches, self.val_batches = (
            CropBatches(split, device=device, workers=workers, cache_bytes=int(each * len(split)))
            for split in (self.train, self.val)
        )


class _SharedBatches(Dataset):
    """Dataset whose items are whole batches, decoded by a worker process into memory that it shares with the training.

    The memory is an anonymous map, since `/dev/shm`, which torch would use, has 64 MB in many containers.
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
    """uint8 (N, S, S, 3) for each batch; its memory is overwritten after the next one is requested."""
    slots = workers * BATCHES_AHEAD + 1  # those that workers fill, and the one in use
    shared = _SharedBatches(data, slots, max(map(len, order), default=0))
    loader = DataLoader(
        shared,
        batch_size=None,
        sampler=[(step % slots, data.rows(items)) for step, items in enumerate(order)],
        num_workers=workers,
        prefetch_factor=BATCHES_AHEAD,
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
    """Copy batches to the GPU in a stream of their own, one ahead of the training."""
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


def _one_ahead(source: Iterator[T]) -> Generator[T, None, None]:
    """Prefetch: each item is made by a thread while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, source, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, source, None)
            yield item
