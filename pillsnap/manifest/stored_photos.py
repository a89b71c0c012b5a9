"""Read the photographs that `prepare_archive` stored."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from pillsnap.files import read_from_shard
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PHOTOS


def stored_photos(pills: pd.DataFrame, prepared: Sequence[Path]) -> Iterator[tuple[bytes, pd.DataFrame]]:
    """Yield the stored JPEG of each photograph in `pills` with its rows, by archive and image_id.

    Training and validation photographs are stored at `prepare.photo_size`, test photographs at native size; of unseen
    drugs likewise.

    Args:
        pills: manifest rows.
        prepared: folders of `prepare_archive`.
    """
    by_image = dict(list(pills.groupby("image_id", sort=True)))
    for archive in prepared:
        stored = read_table(archive / "photos.parquet", PHOTOS)
        with (archive / "photos.bin").open("rb") as shard:
            for row in stored[stored["image_id"].isin(by_image)].itertuples():
                yield read_from_shard(shard, row.offset, row.length), by_image[row.image_id]
