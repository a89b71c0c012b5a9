"""The quarantine: what its photographs look like, with the boxes that were refused, read from the raw archives."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.dataset.choose import spread
from pillsnap.dataset.outline import BAD, outline, outline_beyond
from pillsnap.dataset.stage_data import DataError, StageData, read_made
from pillsnap.files import read_json
from pillsnap.pictures.decode import PictureError, decode_photo, encode_jpeg
from pillsnap.pictures.scale import shrink
from pillsnap.sources.containers.container import Container, ContainerError
from pillsnap.sources.containers.s3 import S3Error, place_of
from pillsnap.sources.registry import get_kind

EXAMPLES = 3
"""Photographs that are shown of each reason."""
LONG_SIDE, QUALITY = 400, 80

_BEFORE_PIXELS = ("bbox_zero_size", "class_out_of_range")
"""Reasons for which a label in fractions is refused before its box is turned into pixels."""

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
    try:
        if path is None or not place_of(path).exists():
            return [
                _without(one, "The raw archive is not here, so the photograph cannot be shown.") for one in examples
            ]
        with Container(path) as container:
            return [_show(one, container, fractions) for one in examples]
    except (ContainerError, S3Error):
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
    box = refused_box(one.reason, one.detail, picture.shape[:2], fractions=fractions)
    if box is None:
        return picture, ""
    drawn, seen = outline_beyond(picture, box)
    return drawn, "The label's box is drawn." if seen else "The label's box lies too far outside to be drawn."


def refused_box(reason: str, detail: str, size: tuple[int, int], *, fractions: bool) -> Box | None:
    """The box of a label that was refused, in pixels; `None` where its row does not hold one.

    Args:
        reason, detail: of the row.
        size: height and width of the photograph.
        fractions: whether the source's labels give boxes as centre and size in fractions of the photograph.
    """
    box = box_in(detail)
    if box is None or not fractions or reason not in _BEFORE_PIXELS:
        return box
    (cx, cy, w, h), (height, width) = box, size
    return (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height


def box_in(detail: str) -> Box | None:
    """The four numbers in brackets of a quarantine row's detail; `None` where it has no such."""
    match = re.search(r"\[([^\[\]]*)\]|\(([^()]*)\)", detail)
    try:
        numbers = [float(number) for number in (match[1] or match[2]).split(",")] if match else []
    except (ValueError, AttributeError):
        return None
    return tuple(numbers) if len(numbers) == 4 and np.isfinite(numbers).all() else None  # type: ignore[return-value]


@dataclass(frozen=True)
class PhotoFacts:
    """A photograph by archive and member, with its rows of the manifest and of the quarantine."""

    archive: str
    member: str
    kept: pd.DataFrame
    refused: pd.DataFrame


def find_photo(data: StageData, words: str) -> PhotoFacts | None:
    """Find a kept or quarantined photograph by its name, with or without its folder or `<archive>: `.

    Returns:
        the photograph; `None` where none has that name.

    Raises:
        DataError: several have it.
    """
    photos = pd.concat([table[["archive", "member"]] for table in (data.pills, data.quarantine)])
    photos = photos.drop_duplicates().reset_index(drop=True)
    whole = photos["archive"] + ": " + photos["member"]
    named = (photos["member"] == words) | (photos["member"].str.rpartition("/")[2] == words) | (whole == words)
    found = photos[named & (photos["member"] != "")]
    if found.empty:
        return None
    if len(found) > 1:
        raise DataError(f"{words}: several photographs have this name. Name one: {'; '.join(whole[found.index])}")
    archive, member = found.iloc[0]
    rows = (
        table[(table["archive"] == archive) & (table["member"] == member)] for table in (data.pills, data.quarantine)
    )
    return PhotoFacts(archive, member, *rows)


def photo_with_boxes(photo: PhotoFacts, results: Path) -> np.ndarray:
    """The raw photograph, uint8 (H, W, 3), with the boxes of kept labels in yellow and of refused ones in red.

    A refused box is drawn as far as its row holds it and it lies in the photograph.

    Args:
        photo: of a stage.
        results: folder of results, whose records tell where the raw archive lies.

    Raises:
        DataError: the raw archive is not there from this folder, or the photograph cannot be decoded.
    """
    record = results / f"provenance/index_archive/{photo.archive}.json"
    if not record.is_file():
        raise DataError(f"{record}: is not there, and tells where the raw archive lies. Make it with its rule.")
    raw, kind = read_made(record, _raw_of)
    try:
        if not place_of(raw).exists():
            raise DataError(
                f"{raw}: the raw archive is not there, looked for from {Path.cwd()}. Give the command in the folder in "
                "which the run was made, or fetch the archive."
            )
        with Container(raw) as container:
            picture = decode_photo(container.read(photo.member))
    except (ContainerError, S3Error, KeyError, OSError, PictureError) as error:
        raise DataError(f"{photo.archive}: {photo.member}: cannot be shown ({error}).") from error
    height, width = picture.shape[:2]
    fractions = get_kind(kind).box_fractions
    refused = [
        (max(x, -9), max(y, -9), min(x + w, width + 9) - max(x, -9), min(y + h, height + 9) - max(y, -9))
        for row in photo.refused.itertuples()
        if (box := refused_box(row.reason, row.detail, (height, width), fractions=fractions))
        for x, y, w, h in [box]
        if x < width and y < height and x + w >= 0 and y + h >= 0
    ]
    return outline(outline(picture, photo.kept[list("xywh")].to_numpy()), refused, BAD)


def _raw_of(record: Path) -> tuple[str, str]:
    """Path of an archive's photographs, and the kind of its source, by the record of `index_archive`."""
    settings = read_json(record)["settings"]
    return settings["archive"]["photos"], settings["kind"]
