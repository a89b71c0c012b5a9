"""Photographs with their boxes and pills by themselves, out of the prepared archives."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.crops.crop import cut_crop
from pillsnap.dataset.outline import outline
from pillsnap.files import read_from_shard
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.pictures.scale import shrink
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import CONTEXTS

MARGIN = 0.15

PillKey = tuple[str, str]
"""A labelled pill: image_id and label_member."""


def boxed_photos(pills: pd.DataFrame, prepared: Sequence[Path], *, long_side: int) -> dict[str, np.ndarray]:
    """Photographs by image_id with the boxes of their rows drawn, uint8 (H, W, 3), at most `long_side` pixels long.

    Args:
        pills: all manifest rows of the photographs.
        prepared: folders of `prepare_archive`.
        long_side: in pixels.
    """
    pictures = {}
    for data, rows in stored_photos(pills, _holding(pills, prepared)):
        picture = shrink([decode_jpeg(data)], long_side)
        scale = picture.shape[1] / rows["width"].iloc[0]
        boxes = rows[["x", "y", "w", "h"]].to_numpy(float) * scale
        pictures[rows["image_id"].iloc[0]] = outline(picture, boxes)
    return pictures


def pill_crops(pills: pd.DataFrame, prepared: Sequence[Path], *, size: int) -> dict[PillKey, np.ndarray]:
    """Each pill by itself, uint8 (size, size, 3).

    Pills of the test part, which have no context crops, are cut out of their photographs.

    Args:
        pills: manifest rows.
        prepared: folders of `prepare_archive`.
        size: side in pixels.
    """
    test = pills["split"] == "test"
    return _from_contexts(pills[~test], prepared, size) | _from_photos(pills[test], prepared, size)


def _holding(pills: pd.DataFrame, prepared: Sequence[Path]) -> list[Path]:
    """The prepared archives that `pills` come from."""
    archives = set(pills["archive"])
    return [path for path in prepared if path.name in archives]


def _from_contexts(pills: pd.DataFrame, prepared: Sequence[Path], size: int) -> dict[PillKey, np.ndarray]:
    crops = {}
    for folder in _holding(pills, prepared):
        stored = read_table(folder / "crops.parquet", CONTEXTS)
        stored = stored.merge(pills[["image_id", "label_member"]], on=["image_id", "label_member"])
        with (folder / "crops.bin").open("rb") as shard:
            for row in stored.itertuples():
                window = decode_jpeg(read_from_shard(shard, row.offset, row.length))
                box = [row.x - row.left, row.y - row.top, row.w, row.h]
                crops[row.image_id, row.label_member] = cut_crop(window, box, size=size, margin=MARGIN)
    return crops


def _from_photos(pills: pd.DataFrame, prepared: Sequence[Path], size: int) -> dict[PillKey, np.ndarray]:
    crops = {}
    for data, rows in stored_photos(pills, _holding(pills, prepared)):
        picture = decode_jpeg(data)
        for row in rows.itertuples():
            box = [row.x, row.y, row.w, row.h]
            crops[row.image_id, row.label_member] = cut_crop(picture, box, size=size, margin=MARGIN)
    return crops
