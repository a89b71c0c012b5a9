"""How the classifier reads crops: memory-mapped shards, decoded by workers or kept, moved on the device in batch."""

import contextlib
import functools
import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from pillsnap.pictures.decode import decode_jpeg, decode_jpeg_into
from pillsnap.tables.schemas import CROPS, read_table

Item = tuple[int, float]
Batch = tuple[torch.Tensor, torch.Tensor]
T = TypeVar("T")
_BATCHES_AHEAD = 2
"""Batches that each worker process may have ready."""


class CropDataset(Dataset):
    """One split of `cut_crops`: item (pill, choice) gives uint8 (3, S, S) and the class index.

    A pill has one or two crops (labelled box, detected box); `choice` in [0, 1) picks one of them.

    Attributes:
        targets: int64 (pills,), class index of each pill.
        pills: their image_id, domain, k_code and class_index by pill_id, in the same order.
        crops: number of all crops.
    """

    def __init__(self, crops: Path, split: str) -> None:
        table = read_table(crops / "index.parquet", CROPS)
        table = table[table["split"] == split].sort_values("pill_id", kind="stable")
        self._path = crops / f"{split}.bin"
        self._places = table[["offset", "length"]].to_numpy(np.int64)
        pills = table.groupby("pill_id", sort=True)
        self._counts = pills.size().to_numpy()
        self._firsts = np.cumsum(self._counts) - self._counts
        self.pills: pd.DataFrame = pills[["image_id", "domain", "k_code", "class_index"]].first()
        self.targets = torch.tensor(self.pills["class_index"].to_numpy(np.int64))
        self.crops = len(table)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, item: Item) -> tuple[torch.Tensor, int]:
        picture = decode_jpeg(self._jpeg(self.rows([item])[0]))
        return torch.from_numpy(picture).permute(2, 0, 1), int(self.targets[item[0]])

    def rows(self, items: Sequence[Item]) -> list[int]:
        """Which crop each item means, as a number below `crops`."""
        return [int(self._firsts[pill] + int(choice * self._counts[pill])) for pill, choice in items]

    def decode(self, row: int, picture: np.ndarray) -> None:
        """Decode a crop into uint8 (S, S, 3)."""
        decode_jpeg_into(self._jpeg(row), picture)

    @functools.cached_property
    def side(self) -> int:
        """S, pixels; all crops have the same."""
        return len(decode_jpeg(self._jpeg(0)))

    @functools.cached_property
    def _shard(self) -> np.memmap:
        return np.memmap(self._path, dtype=np.uint8, mode="r")

    def _jpeg(self, row: int) -> np.ndarray:
        offset, length = self._places[row]
        return self._shard[offset : offset + length]


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


def normalise(pictures: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """uint8 (N, 3, S, S) to float32 by the channel means and deviations that the timm model was made for.

    Channels are last in memory.
    """
    mean, std = (torch.tensor(model.pretrained_cfg[name]) for name in ("mean", "std"))
    factor, shift = _beside(pictures, torch.stack([1 / (255 * std), -mean / std]))
    # whole rows of pixels at once: arithmetic on three neighbours at a time is slow on a CPU
    width = pictures.shape[-1]
    rows = pictures.permute(0, 2, 3, 1).flatten(2).float()
    rows = rows.mul_(factor.repeat(width)).add_(shift.repeat(width))
    return rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)


def _beside(pictures: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Small tensors of the CPU on the pictures' device, without making the CPU wait for what that still computes."""
    return values.pin_memory().to(pictures.device, non_blocking=True) if pictures.is_cuda else values


def resize(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """float (N, 3, S, S) to (N, 3, size, size), bilinear with anti-aliasing."""
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def augment(
    pictures: torch.Tensor,
    size: int,
    generator: torch.Generator,
    *,
    whole: int | None = None,
    taken: slice = slice(None),
) -> torch.Tensor:
    """Random views of crops: turned by any angle, moved, zoomed, lighter or darker; never mirrored.

    A mirrored imprint is another imprint, so there is no flip; colour tells drugs apart, so hue stays.

    Args:
        pictures: float (N, 3, S, S), normalised.
        size: side of the result.
        generator: source of all randomness, on the CPU.
        whole, taken: where the pictures are those `taken` of a batch of `whole` ones, all of which are drawn for.

    Returns:
        float (N, 3, size, size).
    """
    count = len(pictures)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(whole or count, generator=generator)[taken] * (high - low) + low

    angle, zoom = uniform(-torch.pi, torch.pi), uniform(0.85, 1.15)
    shift = torch.stack([uniform(-0.08, 0.08), uniform(-0.08, 0.08)], 1)
    gain, offset = uniform(0.8, 1.2), uniform(-0.15, 0.15)
    right = torch.stack([torch.cos(angle), torch.sin(angle)], 1) * zoom[:, None]
    down = torch.stack([-right[:, 1], right[:, 0]], 1)
    light = torch.stack([gain, offset], 1)
    values = _beside(pictures, torch.cat([right, down, shift, light], 1))
    moved = functional.grid_sample(pictures, _grid(values, size), padding_mode="border", align_corners=False)
    return moved.mul_(values[:, 6, None, None, None]).add_(values[:, 7, None, None, None])


def _grid(values: torch.Tensor, size: int) -> torch.Tensor:
    """Where a view's pixels come from: float (N, size, size, 2), x and y in [-1, 1] of the crop.

    `functional.affine_grid` in a fifth of its time on a CPU.

    Args:
        values: float (N, 6 or more): the steps (x, y) to the right and down, then the middle's place.
        size: side of the view.
    """
    centres = (torch.arange(size, device=values.device) * 2 + 1) / size - 1
    grid = values.new_empty(len(values), size, size, 2)
    for axis in (0, 1):
        right, down, middle = (values[:, column + axis, None] for column in (0, 2, 4))
        torch.add((middle + down * centres)[:, :, None], (right * centres)[:, None], out=grid[..., axis])
    return grid
