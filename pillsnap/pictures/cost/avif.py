"""Cost of an AVIF: boxes, items and the frames in each item."""

import struct
from collections.abc import Iterator

from pillsnap.pictures.cost.boxes import box_at
from pillsnap.pictures.cost.limits import METADATA_PIECES, check_at_most, check_exif

FRAMES = 8
"""AV1 frames in an item: a still has one, one of several layers up to four."""
BYTES_PER_PIXEL = 4

_FRAME_UNITS = (3, 6)
"""Kinds of AV1's units that begin a frame."""


def check_avif(data: bytes) -> None:
    """Raise `CostlyError` for an AVIF of too many boxes, items, or frames in an item."""
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            _check_items(data, start + 4, end)


def _boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box."""
    count = 0
    while place + 8 <= end:
        kind, start, place = box_at(data, place)
        count += 1
        check_at_most(METADATA_PIECES, count, "boxes")
        yield kind, start, min(place, end)


def _check_items(data: bytes, place: int, end: int) -> None:
    kinds: dict[int, bytes] = {}
    extents: dict[int, list[tuple[int, int]]] = {}
    pixels = 0
    for kind, start, stop in _boxes(data, place, end):
        if kind == b"iinf":
            kinds = dict(_kinds(data, start, stop))
        elif kind == b"iloc":
            extents = _extents(data, start)
        elif kind == b"iprp":
            pixels = max((area for area in _areas(data, start, stop)), default=0)
    for item, parts in extents.items():
        size = sum(length for _, length in parts)
        if kinds.get(item) == b"Exif":
            check_exif(b"".join(data[start : start + length] for start, length in parts), 4, size)
        elif kinds.get(item) == b"av01":
            check_at_most(BYTES_PER_PIXEL * pixels + 65_536, size, "bytes of pixels")
            _check_frames(b"".join(data[start : start + length] for start, length in parts))


def _kinds(data: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Number and kind of each item in the content of `iinf`."""
    wide = data[start] > 0
    for kind, place, _ in _boxes(data, start + (8 if wide else 6), stop):
        if kind == b"infe":
            long = data[place] == 3
            yield struct.unpack_from(">I" if long else ">H", data, place + 4)[0], data[place + 6 + 2 * long :][2:6]


def _areas(data: bytes, start: int, stop: int) -> Iterator[int]:
    for kind, place, end in _boxes(data, start, stop):
        if kind == b"ipco":
            for inner, where, _ in _boxes(data, place, end):
                if inner == b"ispe":
                    width, height = struct.unpack_from(">II", data, where + 4)
                    yield width * height


def _extents(data: bytes, place: int) -> dict[int, list[tuple[int, int]]]:
    """Places and lengths in the file of each item, by the content of `iloc`."""
    version, sizes = data[place], struct.unpack_from(">H", data, place + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    place += 6

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > len(data):
            raise IndexError
        return int.from_bytes(data[place - size : place], "big")

    found: dict[int, list[tuple[int, int]]] = {}
    total = 0
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        if version:
            number(2)
        number(2)
        base = number(base_size)
        for _ in range(number(2)):
            if version:
                number(index_size)
            start, length = base + number(offset_size), number(length_size)
            found.setdefault(item, []).append((start, length or len(data) - start))
            total += 1
            check_at_most(METADATA_PIECES, total, "parts of items")
    return found


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
