"""Drawn crops of the reader in memory: pictures, and what is to be read of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pillsnap.catalogue.vocabulary import colours_of, shape_of
from pillsnap.pictures.decode import decode_jpeg_into
from pillsnap.reader.looks import COLOUR_NAMES, PLACES, SHAPE_NAMES, codes_of, readable
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import READER_CROPS


@dataclass(frozen=True)
class ReaderCropSet:
    """Crops with their truth, N rows each.

    Attributes:
        pictures: uint8 (N, S, S, 3).
        codes: of the imprint, int64 (N, PLACES).
        places: middle of each character as shares of the side, x and y: float32 (N, PLACES, 2); NaN behind the last.
        shapes: int64 (N,).
        colours: float32 (N, 16), 1 for each of the pill's.
    """

    pictures: torch.Tensor
    codes: torch.Tensor
    places: torch.Tensor
    shapes: torch.Tensor
    colours: torch.Tensor

    def __len__(self) -> int:
        return len(self.codes)


def read_reader_crops(folders: Sequence[Path], side: int) -> ReaderCropSet:
    """Decode the crops of `draw_reader_crops`, whose side is `side` pixels."""
    tables = [read_table(folder / "crops.parquet", READER_CROPS) for folder in folders]
    count = sum(map(len, tables))
    pictures = np.empty((count, side, side, 3), np.uint8)
    places = np.full((count, PLACES, 2), np.nan, np.float32)
    shapes, colours = np.empty(count, np.int64), np.zeros((count, len(COLOUR_NAMES)), np.float32)
    imprints: list[str] = []
    for folder, table in zip(folders, tables, strict=True):
        stored = np.memmap(folder / "crops.bin", dtype=np.uint8, mode="r")
        for row in table.itertuples(index=False):
            number = len(imprints)
            imprints.append(readable(row.imprint))
            decode_jpeg_into(stored[row.offset : row.offset + row.length], pictures[number])
            middles = np.array(row.places.split(), np.float32).reshape(-1, 2)[:PLACES]
            places[number, : len(middles)] = middles
            shapes[number] = SHAPE_NAMES.index(shape_of(row.shape) or "other")
            for colour in colours_of(row.colours)[0]:
                colours[number, COLOUR_NAMES.index(colour)] = 1
    arrays = pictures, codes_of(imprints), places, shapes, colours
    return ReaderCropSet(*(torch.from_numpy(array) for array in arrays))
