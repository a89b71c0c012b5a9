"""Photographs of an archive, read in place one after the other, and the boxes of their labels in their own pixels."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from pillsnap.files import read_json
from pillsnap.pictures.box_finder import Box
from pillsnap.pictures.decode import PictureError, stored_orientation
from pillsnap.pictures.in_order import in_order
from pillsnap.pictures.metadata import turned_box
from pillsnap.sources.archives import Archive
from pillsnap.sources.containers.container import Container, ContainerError, MemberError
from pillsnap.sources.labels import LabelError, box_scale, fit_box

Pills = list[Any]
"""Rows of one photograph, as named tuples."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class ArchivePhoto:
    """A photograph of an archive: one of its rows, for image_id and member, and its pills; a background has none."""

    row: Any
    pills: Pills


def photos_with_pills(pills: pd.DataFrame) -> Iterator[ArchivePhoto]:
    """Yield the photographs of a table of pills, schema `PILLS` or `PLAN`, ordered by image_id."""
    ordered = pills.sort_values("image_id", kind="stable")
    for _, rows in itertools.groupby(ordered.itertuples(index=False), key=lambda pill: pill.image_id):
        photo = list(rows)
        yield ArchivePhoto(photo[0], photo)


def photos_without_pill(backgrounds: pd.DataFrame) -> Iterator[ArchivePhoto]:
    """Yield the photographs of a table of backgrounds, schema `BACKGROUNDS` or `PLANNED_BACKGROUNDS`."""
    return (ArchivePhoto(row, []) for row in backgrounds.itertuples(index=False))


def each_photo(
    archive: Archive,
    photos: Iterable[ArchivePhoto],
    work: Callable[[bytes | PictureError, ArchivePhoto], Result],
    *,
    threads: int,
    counts: Path | None = None,
) -> Iterator[tuple[ArchivePhoto, Result]]:
    """Yield what `work` makes of each photograph, in their order; the next ones are read while the threads work.

    Args:
        archive: it is read in place.
        photos: of this archive.
        work: takes a file's bytes, or why it cannot be read.
        threads: threads beside the one that reads.
        counts: of `index_archive`: the zip must be the one that was indexed. `None` where it is not asked.

    Raises:
        ContainerError: the archive cannot be opened, or is not the one that was indexed.
    """
    wanted = list(photos)
    with Container(archive.photos) as container:
        _check_indexed(container, counts)
        container.will_read(photo.row.member for photo in wanted)
        read = ((photo, read_member(container, photo.row.member)) for photo in wanted)
        yield from in_order(lambda item: (item[0], work(item[1], item[0])), read, threads=threads)


def _check_indexed(container: Container, counts: Path | None) -> None:
    """Raise `ContainerError` where the zip is not the indexed one, whose boxes the tables hold."""
    if counts and read_json(counts)["photos_directory"] != container.directory_hash():
        raise ContainerError(
            f"{container.path}: is not the zip that was indexed; its list of files is another one. None of it is used. "
            f"Delete {counts} and give the same command again, which reads its labels anew."
        )


def read_member(container: Container, member: str) -> bytes | PictureError:
    """Return a photograph's bytes, or why it cannot be read."""
    try:
        return container.read(member)
    except KeyError:
        return PictureError("photo_missing", member)
    except MemberError as error:
        return PictureError(error.reason, error.detail)
    except OSError as error:
        return PictureError("photo_truncated", str(error)[:200])


def labelled_box(pill: Any, width: int, height: int, raw: bytes) -> tuple[Box, list[tuple[str, str]]]:
    """Return a label's box in its photograph's own pixels, and reason and detail of what was repaired.

    A label whose size is that of the stored picture, which EXIF turns by a quarter, was made by a program that does not
    turn it: its box is turned with the picture. Where sizes tell nothing, boxes are of the upright picture.

    Args:
        pill: row of the schema `PILLS`.
        width, height: of the photograph in pixels, upright.
        raw: the file's bytes, asked for the EXIF orientation where the label's sides may be the stored picture's.

    Raises:
        LabelError: the box does not fit into the photograph.
    """
    size, given = (pill.width, pill.height), (pill.x, pill.y, pill.w, pill.h)
    sizes = f"{pill.width} x {pill.height} in the label, {width} x {height} in the photograph"
    scale = box_scale(size, (width, height))
    turn = 1
    if scale is None and (sideways := box_scale(size, (height, width))) and (turn := stored_orientation(raw)) >= 5:
        given, scale = turned_box(given, size, turn), sideways[::-1]
    across, down = scale or (1.0, 1.0)
    labelled = (given[0] * across, given[1] * down, given[2] * across, given[3] * down)
    same = size == (width, height)
    try:
        box = fit_box(labelled, width, height)
    except LabelError as error:
        raise LabelError(error.reason, f"{error.detail}{'' if same else f'; {sizes}'}") from error
    repairs = [] if box == labelled else [("bbox_clipped", str(list(box)))]
    if turn >= 5:
        repairs.append(("box_turned", f"{sizes}, EXIF orientation {turn}"))
    if across != 1 or down != 1:
        repairs.append(("box_scaled", sizes))
    elif not same and turn < 5:
        repairs.append(("size_corrected", sizes))
    return box, repairs
