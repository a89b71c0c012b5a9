"""The quarantine: which rows are about a drug, and what its photographs look like, read from the raw archives."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.dataset.choose import spread
from pillsnap.dataset.outline import outline_beyond
from pillsnap.pictures.decode import PictureError, decode_photo, encode_jpeg
from pillsnap.pictures.scale import shrink
from pillsnap.sources.containers.container import Container, ContainerError

EXAMPLES = 3
"""Photographs that are shown of each reason."""
LONG_SIDE, QUALITY = 400, 80

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Example:
    """One row of the quarantine with its photograph, if that can be shown.

    Attributes:
        reason, archive, member, label_member, detail: the row.
        picture: a JPEG; empty where there is none.
        note: why there is no picture, or what is drawn on it; may be empty.
    """

    reason: str
    archive: str
    member: str
    label_member: str
    detail: str
    picture: bytes = b""
    note: str = ""


def quarantine_examples(
    rows: pd.DataFrame, raw: Mapping[str, str], *, fractions: Collection[str]
) -> dict[str, list[Example]]:
    """At most `EXAMPLES` rows of each reason, evenly spread, those with a photograph first.

    Args:
        rows: of the quarantine list.
        raw: path of the zip or folder with the photographs, by the archive's name; one that is not there leaves its
            examples without a picture.
        fractions: names of archives whose labels give boxes as centre and size in fractions of the photograph (YOLO).
    """
    chosen = [row for _, found in rows.groupby("reason", sort=True) for row in _chosen(found)]
    by_archive: dict[str, list[Example]] = defaultdict(list)
    for row in chosen:
        by_archive[row.archive].append(row)
    shown = [one for name, found in by_archive.items() for one in _shown(found, raw.get(name), name in fractions)]
    order = {_key(row): place for place, row in enumerate(chosen)}
    by_reason: dict[str, list[Example]] = defaultdict(list)
    for one in sorted(shown, key=lambda one: order[_key(one)]):
        by_reason[one.reason].append(one)
    return dict(by_reason)


def _key(row: Example) -> tuple[str, ...]:
    return row.reason, row.archive, row.member, row.label_member, row.detail


def _chosen(rows: pd.DataFrame) -> list[Example]:
    with_photo = rows[rows["member"] != ""].drop_duplicates(["archive", "member"])
    rows = with_photo if len(with_photo) else rows
    ordered = rows.sort_values(["archive", "member", "label_member"])
    return [
        Example(row.reason, row.archive, row.member, row.label_member, row.detail)
        for row in ordered.iloc[spread(len(ordered), EXAMPLES)].itertuples()
    ]


def _shown(examples: Iterable[Example], path: str | None, fractions: bool) -> list[Example]:
    """Examples of one archive with their pictures."""
    if path is None or not Path(path).exists():
        return [_without(one, "The raw archive is not here, so the photograph cannot be shown.") for one in examples]
    try:
        with Container(path) as container:
            return [_show(one, container, fractions) for one in examples]
    except ContainerError:
        return [_without(one, "The raw archive cannot be opened.") for one in examples]


def _without(one: Example, note: str) -> Example:
    return Example(one.reason, one.archive, one.member, one.label_member, one.detail, note=note)


def _show(one: Example, container: Container, fractions: bool) -> Example:
    if not one.member:
        return _without(one, "There is no photograph.")
    try:
        data = container.read(one.member)
    except KeyError:
        return _without(one, "The archive does not have the photograph.")
    except OSError as error:
        return _without(one, f"Cannot be read from the archive: {str(error)[:120]}.")
    try:
        picture = decode_photo(data)
    except PictureError as error:
        size = f"{len(data):,} bytes, beginning with {data[:8].hex(' ').upper()}" if data else "an empty file"
        return _without(one, f"Cannot be decoded ({error.reason}): {size}.")
    drawn, note = _drawn(picture, one, fractions)
    jpeg = encode_jpeg(shrink([drawn], LONG_SIDE), QUALITY)
    return Example(one.reason, one.archive, one.member, one.label_member, one.detail, jpeg, note)


def _drawn(picture: np.ndarray, one: Example, fractions: bool) -> tuple[np.ndarray, str]:
    box = box_in(one.detail)
    if box is None:
        return picture, ""
    if fractions and one.reason == "bbox_zero_size":  # the one box that is refused before it is turned into pixels
        (cx, cy, w, h), (height, width) = box, picture.shape[:2]
        box = (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height
    drawn, seen = outline_beyond(picture, box)
    return drawn, "The label's box is drawn." if seen else "The label's box lies too far outside to be drawn."


def box_in(detail: str) -> Box | None:
    """The four numbers in brackets of a quarantine row's detail; `None` where it has no such."""
    match = re.search(r"\[([^\[\]]*)\]|\(([^()]*)\)", detail)
    try:
        numbers = [float(number) for number in (match[1] or match[2]).split(",")] if match else []
    except (ValueError, AttributeError):
        return None
    return tuple(numbers) if len(numbers) == 4 and np.isfinite(numbers).all() else None  # type: ignore[return-value]
