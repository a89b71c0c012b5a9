"""Shards of the detector's dataset: tar files of pictures and labels, which unpack to ultralytics' folders.

Hundreds of thousands of small files are slow to version and to move; a shard for each archive of photographs is not.
"""

import contextlib
import itertools
import operator
import tarfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from pillsnap.files import replacing_folder
from pillsnap.progress import progress

DESCRIPTION = "data.yaml"
SPLITS = ("train", "val")


class ShardError(ValueError):
    """A shard of the dataset that cannot be read."""


def label_lines(pills: pd.DataFrame) -> dict[str, str]:
    """Write the label files' text by photograph, as ultralytics reads it: class and normalised box, one pill a line.

    Args:
        pills: image_id, width and height of the photograph in pixels, box x, y, w, h in them; one pill a row.
    """
    ordered = pills.sort_values("image_id", kind="stable")
    boxes, sizes = (ordered[columns].to_numpy(float) for columns in (list("xywh"), ["width", "height"]))
    shares = np.hstack([(boxes[:, :2] + boxes[:, 2:] / 2) / sizes, boxes[:, 2:] / sizes]).tolist()
    lines = zip(
        ordered["image_id"], ("0 {:.6f} {:.6f} {:.6f} {:.6f}\n".format(*share) for share in shares), strict=True
    )
    grouped = itertools.groupby(lines, key=operator.itemgetter(0))
    return {image_id: "".join(line for _, line in rows) for image_id, rows in grouped}


def write_shard(path: Path, pictures: Iterable[tuple[str, bytes, str]]) -> int:
    """Write `images/<split>/<name>.jpg` and `labels/<split>/<name>.txt` of pictures into a tar file; of none, no file.

    Args:
        path: its folder's name is the split.
        pictures: name, JPEG, and text of the label file; empty for a picture without a pill.

    Returns:
        Number of pictures.
    """
    split, number = path.parent.name, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "x") as shard:
        for name, jpeg, lines in pictures:
            # a member's own defaults are the same everywhere: no owner, no time
            for member, data in ((f"images/{split}/{name}.jpg", jpeg), (f"labels/{split}/{name}.txt", lines.encode())):
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                shard.addfile(entry, BytesIO(data))
            number += 1
    if not number:
        path.unlink()
    return number


def write_description(dataset: Path) -> None:
    """Write the `data.yaml` of a dataset of one class, with a training and a validation part."""
    description = {split: f"images/{split}" for split in SPLITS} | {"nc": 1, "names": {0: "pill"}}
    (dataset / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


def count_pictures(dataset: Path, split: str) -> int:
    """Count the pictures of a split from its shards' heads; raises `ShardError`."""
    number = 0
    for path in _shards(dataset, split):
        with _opened(path) as shard:
            number += sum(member.name.startswith("images/") for member in shard)
    return number


def unpack_shards(dataset: Path, folder: Path) -> None:
    """Unpack a dataset to ultralytics' folders: `data.yaml`, `images/<split>/<name>.jpg`, `labels/<split>/<name>.txt`.

    Args:
        dataset: of shards.
        folder: written, whole or not at all.

    Raises:
        ShardError: a shard is damaged.
    """
    shards = [path for split in SPLITS for path in _shards(dataset, split)]
    with replacing_folder(folder) as unpacked:
        for split in SPLITS:
            for kind in ("images", "labels"):
                (unpacked / kind / split).mkdir(parents=True)
        for path in progress(shards, total=len(shards), title="dataset unpacked", unit="shards"):
            with _opened(path) as shard:
                shard.extractall(unpacked, filter="data")
        (unpacked / DESCRIPTION).write_bytes((dataset / DESCRIPTION).read_bytes())


def _shards(dataset: Path, split: str) -> list[Path]:
    return sorted((dataset / split).glob("*.tar"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as shard:
            yield shard
    except tarfile.TarError as error:
        raise ShardError(f"{path}: {error}. Make it again: rule build_yolo_dataset.") from error
