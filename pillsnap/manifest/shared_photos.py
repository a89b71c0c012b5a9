"""Photographs that several sources have, such as an original and its copy with repaired labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from pillsnap.tables.files import read_columns

SAME_BOX = 0.9
"""IoU from which two boxes, in fractions of their photographs, are one pill's."""
_COPIED = r"^[0-9a-f]{8}-|(?:_(?:jpe?g|png|bmp|webp|tiff?))?\.rf\..*$"
"""What Label Studio puts before a file name, and Roboflow behind it."""
_COLUMNS = ("image_id", "member", "part", "group", "width", "height", "x", "y", "w", "h")
_BY_DISTANCE = ("", "train", "val", "test")
"""Parts of a source, later ones are held out further."""


@dataclass(frozen=True)
class SharedPhotos:
    """What changes for photographs that several sources have.

    Attributes:
        groups: capture group of the original by that of its copies, which are one group from now on.
        parts: part of original and copies by image_id: the one held out furthest among them.
        corrected: image_ids of those that a later source has too; its labels are used instead.
    """

    groups: dict[str, str]
    parts: dict[str, str]
    corrected: set[str]


def find_shared_photos(files: Sequence[Path], sources: Sequence[str]) -> SharedPhotos:
    """Find photographs of different sources that have one file name and a labelled box in one place.

    Names are compared without folder, ending and what exporters add; boxes in fractions, so that a copy may have
    another size. A name alone proves nothing, since many data sets number theirs from 1.

    Args:
        files: the archives' indices, schema `PILLS`.
        sources: the source of each; an original comes before its copies.
    """
    tables = [read_columns(file, _COLUMNS).to_pandas() for file in files]
    keys = [_key(table["member"]) for table in tables]
    by_source: dict[str, set[str]] = {}
    for key, source in zip(keys, sources, strict=True):
        by_source.setdefault(source, set()).update(key)
    counts = Counter(chain.from_iterable(by_source.values()))
    shared = {key for key, count in counts.items() if count > 1}
    rank = {name: place for place, name in enumerate(by_source)}
    some = [
        table.assign(key=key, source=rank[source])[key.isin(shared)]
        for table, key, source in zip(tables, keys, sources, strict=True)
    ]
    pills = pd.concat(some, ignore_index=True)
    pairs = _same_photos(pills)
    photos = pills.drop_duplicates("image_id").set_index("image_id")
    originals = _roots(zip(pairs["image_id"], pairs["image_id_copy"], strict=True))
    groups = _roots(zip(photos["group"][pairs["image_id"]], photos["group"][pairs["image_id_copy"]], strict=True))
    copies = photos.loc[list(originals), ["part", "source"]].assign(original=list(originals.values()))
    copies["part"] = copies["part"].map(_BY_DISTANCE.index)
    most = copies.groupby("original")[["part", "source"]].transform("max")
    return SharedPhotos(
        groups,
        parts={image_id: _BY_DISTANCE[part] for image_id, part in most["part"].items()},
        corrected=set(copies.index[copies["source"] < most["source"]]),
    )


def _key(members: pd.Series) -> pd.Series:
    """Return each photograph's file name without folder, ending and what exporters add."""
    names = members.str.replace(r"^.*/|\.[^./]*$", "", regex=True)
    return names.str.replace(_COPIED, "", regex=True).str.lower()


def _same_photos(pills: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs `image_id` and `image_id_copy`, of an earlier and a later source, in their order."""
    width, height = pills["width"].clip(lower=1), pills["height"].clip(lower=1)
    boxes = pd.DataFrame(
        {
            "left": pills["x"] / width,
            "top": pills["y"] / height,
            "right": (pills["x"] + pills["w"]) / width,
            "bottom": (pills["y"] + pills["h"]) / height,
        }
    )
    rows = pills[["key", "source", "image_id"]].join(boxes)
    both = rows.merge(rows, on="key", suffixes=("", "_copy"))
    both = both[both["source"] < both["source_copy"]]
    across = (both[["right", "right_copy"]].min(axis=1) - both[["left", "left_copy"]].max(axis=1)).clip(lower=0)
    down = (both[["bottom", "bottom_copy"]].min(axis=1) - both[["top", "top_copy"]].max(axis=1)).clip(lower=0)
    overlap = across * down
    areas = [
        (both[f"right{which}"] - both[f"left{which}"]) * (both[f"bottom{which}"] - both[f"top{which}"])
        for which in ("", "_copy")
    ]
    same = both[overlap >= SAME_BOX * (areas[0] + areas[1] - overlap)]
    order = ["source", "source_copy", "image_id", "image_id_copy"]
    return same.sort_values(order).drop_duplicates(["image_id", "image_id_copy"])


def _roots(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join pairs into sets; returns the first member of its set for each member."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for first, second in pairs:
        parent[root(second)] = root(first)
    return {name: root(name) for name in parent}
