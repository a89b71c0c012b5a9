"""How the classifier reads crops: from memory-mapped shards, decoded in workers, moved on the device in batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from pillsnap.pictures import decode_jpeg
from pillsnap.tables import CROPS, read_table

Batch = tuple[torch.Tensor, torch.Tensor]


class CropDataset(Dataset):
    """One split of `cut_crops`: item (pill, choice) gives uint8 (3, S, S) and the class index.

    A pill has one or two crops (labelled box, detected box); `choice` in [0, 1) picks one of them.
    """

    def __init__(self, crops: Path, split: str) -> None:
        table = read_table(crops / "index.parquet", CROPS)
        table = table[table["split"] == split]
        self._path = crops / f"{split}.bin"
        self._shard: np.memmap | None = None
        pills = table.groupby("pill_id", sort=True)
        self._places: list[list[tuple[int, int]]] = [
            list(zip(rows["offset"], rows["length"], strict=True)) for _, rows in pills
        ]
        self.targets = torch.tensor([int(rows["class_index"].iloc[0]) for _, rows in pills])
        self.pills: pd.DataFrame = pills[["image_id", "domain", "k_code", "class_index"]].first()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, item: tuple[int, float]) -> tuple[torch.Tensor, int]:
        pill, choice = item
        if self._shard is None:  # opened in the worker that reads
            self._shard = np.memmap(self._path, dtype=np.uint8, mode="r")
        places = self._places[pill]
        offset, length = places[int(choice * len(places))]
        picture = decode_jpeg(self._shard[offset : offset + length].tobytes())
        return torch.from_numpy(picture).permute(2, 0, 1), int(self.targets[pill])


class CropBatches:
    """Batches of a `CropDataset` on a device.

    Args:
        data: the crops.
        device: where batches are wanted.
        workers: processes that decode.
        cache_bytes: memory that decoded crops may take.
    """

    def __init__(self, data: CropDataset, *, device: str, workers: int, cache_bytes: int) -> None:
        self._data, self._device, self._workers = data, device, workers

    def batches(self, order: Sequence[Sequence[tuple[int, float]]]) -> Iterator[Batch]:
        """Pictures uint8 (N, 3, S, S) and targets int64 (N,) of each batch of (pill, choice of crop), on the device."""
        words = {"num_workers": self._workers, "generator": torch.Generator()}
        for pictures, targets in DataLoader(self._data, batch_sampler=order, **words):
            yield pictures.to(self._device), targets.to(self._device)


def normalise(pictures: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """uint8 (N, 3, S, S) to float32 by the channel means and deviations that the timm model was made for."""
    mean, std = (
        torch.tensor(model.pretrained_cfg[name], device=pictures.device).view(1, 3, 1, 1) for name in ("mean", "std")
    )
    return (pictures.float() / 255 - mean) / std


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
    shift_x, shift_y = uniform(-0.08, 0.08), uniform(-0.08, 0.08)
    gain, offset = uniform(0.8, 1.2), uniform(-0.15, 0.15)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix = torch.stack([torch.stack([cosine, -sine, shift_x], 1), torch.stack([sine, cosine, shift_y], 1)], 1)
    grid = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False).to(pictures.device)
    moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    light = torch.stack([gain, offset], 1).to(pictures.device)[:, :, None, None, None]
    return moved * light[:, 0] + light[:, 1]
