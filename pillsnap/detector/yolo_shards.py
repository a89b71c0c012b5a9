"""Shards of the detector's dataset: tar files of pictures and labels, which unpack to ultralytics' folders.

Hundreds of thousands of small files are slow to version and to move; a shard for each archive of photographs is not.
"""

import contextlib
import itertools
import operator
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from pillsnap.files import read_json, replacing_folder, write_json
from pillsnap.progress import progress

DESCRIPTION, NUMBERS = "data.yaml", "shards.json"
KINDS, SPLITS = ("images", "labels"), ("train", "val")
_NAME = re.compile(rf"({'|'.join(KINDS)})/({'|'.join(SPLITS)})/([^/]+)")
_CURE = "Make it again: rule build_yolo_dataset."


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


def write_shard(path: Path, pictures: Iterable[tuple[str, bytes, str]]) -> None:
    """Write `images/<split>/<name>.jpg` and `labels/<split>/<name>.txt` of pictures into a tar file; of none, no file.

    Args:
        path: its folder's name is the split.
        pictures: name, JPEG, and text of the label file; empty for a picture without a pill.
    """
    split, any_picture = path.parent.name, False
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "x") as shard:
        for name, jpeg, lines in pictures:
            # a member's own defaults are the same everywhere: no owner, no time
            for member, data in ((f"images/{split}/{name}.jpg", jpeg), (f"labels/{split}/{name}.txt", lines.encode())):
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                shard.addfile(entry, BytesIO(data))
            shard.members.clear()  # type: ignore[attr-defined]  # it would keep all of them in memory
            any_picture = True
    if not any_picture:
        path.unlink()


def describe_shards(dataset: Path) -> None:
    """Write beside the shards ultralytics' `data.yaml`, of one class, and the number of pictures of each shard."""
    description = {split: f"images/{split}" for split in SPLITS} | {"nc": 1, "names": {0: "pill"}}
    (dataset / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    shards = [path for split in SPLITS for path in sorted((dataset / split).glob("*.tar"))]
    numbers = {}
    for path in shards:
        with _opened(path) as shard:
            numbers[f"{path.parent.name}/{path.name}"] = sum(one.name.startswith("images/") for one in _members(shard))
    write_json(dataset / NUMBERS, numbers)


def count_pictures(dataset: Path, split: str) -> int:
    """Count the pictures of a split, as its description tells; raises `ShardError`."""
    return sum(number for shard, number in _numbers(dataset).items() if shard.startswith(f"{split}/"))


def unpack_shards(dataset: Path, folder: Path) -> None:
    """Unpack a dataset to ultralytics' folders: `data.yaml`, `images/<split>/<name>.jpg`, `labels/<split>/<name>.txt`.

    Args:
        dataset: of shards.
        folder: written, whole or not at all.

    Raises:
        ShardError: a shard is damaged or missing.
    """
    numbers = _numbers(dataset)
    with replacing_folder(folder) as unpacked:
        places = {(kind, split): unpacked / kind / split for kind in KINDS for split in SPLITS}
        for place in places.values():
            place.mkdir(parents=True)
        for shard, number in progress(numbers.items(), total=len(numbers), title="dataset unpacked", unit="shards"):
            written: Counter[str] = Counter()
            for kind, split, name, data in _files(dataset / shard):
                (places[kind, split] / name).write_bytes(data)
                written[kind] += 1
            if any(written[kind] != number for kind in KINDS):
                raise ShardError(f"{dataset / shard}: has {written['images']} pictures of {number}. {_CURE}")
        (unpacked / DESCRIPTION).write_bytes((dataset / DESCRIPTION).read_bytes())


def _numbers(dataset: Path) -> dict[str, int]:
    if not (dataset / NUMBERS).is_file():
        raise ShardError(f"{dataset}: has no {NUMBERS}; an earlier version wrote other files. {_CURE}")
    return read_json(dataset / NUMBERS)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a shard; raises `ShardError` for whatever of it cannot be read in the block."""
    try:
        with tarfile.open(path, "r:") as shard:
            yield shard
    except (tarfile.TarError, FileNotFoundError) as error:
        raise ShardError(f"{path}: cannot be read ({error}). {_CURE}") from error


def _members(shard: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while member := shard.next():
        yield member
        shard.members.clear()  # type: ignore[attr-defined]  # as in `write_shard`


def _files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Kind, split, name and content of a shard's files; raises `ShardError`."""
    with _opened(path) as shard:
        for member in _members(shard):
            named, content = _NAME.fullmatch(member.name), shard.extractfile(member)
            if not named or content is None:
                raise ShardError(f"{path}: holds {member.name}, which is none of its files. {_CURE}")
            kind, split, name = named.groups()
            yield kind, split, name, content.read()
