"""Cost of an AVIF: boxes, items and the frames in each item."""

import struct

from pillsnap.pictures.cost.items import Items, items_of
from pillsnap.pictures.cost.limits import METADATA_PIECES, check_at_most

FRAMES = 8
"""AV1 frames in an item: a still has one, one of several layers up to four."""
BYTES_PER_PIXEL = 4

_FRAME_UNITS = (3, 6)
"""Kinds of AV1's units that begin a frame."""


def check_avif(data: bytes) -> None:
    """Raise `CostlyError` for an AVIF of too many boxes, items, or frames in an item."""
    items = items_of(data)
    items.check_exif()
    pixels = max((area for area in _areas(items)), default=0)
    for item, kind in items.kinds.items():
        if kind == b"av01":
            check_at_most(BYTES_PER_PIXEL * pixels + 65_536, items.size(item), "bytes of pixels")
            _check_frames(items.content(item))


def _areas(items: Items) -> list[int]:
    sizes = (struct.unpack_from(">II", items.data, start + 4) for kind, start, _ in items.properties if kind == b"ispe")
    return [width * height for width, height in sizes]


def _check_frames(units: bytes) -> None:
    """Count the frames in an item's AV1 units."""
    place, frames, count = 0, 0, 0
    while place < len(units):
        head, place = units[place], place + 1 + (units[place] >> 2 & 1)
        length = len(units) - place
        if head & 2:
            length, place = _leb128(units, place)
        frames, count, place = frames + (head >> 3 & 15 in _FRAME_UNITS), count + 1, place + length
        check_at_most(FRAMES, frames, "frames in a still picture")
        check_at_most(METADATA_PIECES, count, "units")


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number in AV1's `leb128()`, of 8 bytes at most (AV1 specification, 4.10.5), and the place after it."""
    number = 0
    for shift in range(0, 56, 7):
        byte, place = data[place], place + 1
        number |= (byte & 127) << shift
        if byte < 128:
            break
    return number, place
