"""Read stored crops as a PyTorch dataset."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from pillsnap.pictures.decode import decode_jpeg, decode_jpeg_into
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import CROPS

Item = tuple[int, float]
Batch = tuple[torch.Tensor, torch.Tensor]


class CropDataset(Dataset):
    """One split of `cut_crops`: item (pill, choice) gives uint8 (3, S, S) and the class index.

    A pill has one or two crops, cut by its labelled box and by the detector's; `choice` in [0, 1) picks one of them.

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
        return self._picture(self.rows([item])[0]), int(self.targets[item[0]])

    def picture(self, pill: int, *, box_from: Literal["label", "detector"]) -> torch.Tensor:
        """A pill's crop, uint8 (3, S, S): by its label's box, or as answers do by the detector's where it has one."""
        last = self._counts[pill] - 1  # `cut_crops` writes a pill's label crop first, and the detector's behind it
        return self._picture(self._firsts[pill] + (last if box_from == "detector" else 0))

    def rows(self, items: Sequence[Item]) -> list[int]:
        """Index of each item's crop, below `crops`."""
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

    def _picture(self, row: int) -> torch.Tensor:
        return torch.from_numpy(decode_jpeg(self._jpeg(row))).permute(2, 0, 1)

    def _jpeg(self, row: int) -> np.ndarray:
        offset, length = self._places[row]
        return self._shard[offset : offset + length]
