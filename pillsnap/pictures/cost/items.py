"""Items of an AVIF or HEIC file, by its box `meta` (ISO/IEC 14496-12, 8.11, and 23008-12, 9.3)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pillsnap.pictures.cost.boxes import box_at
from pillsnap.pictures.cost.limits import METADATA_PIECES, CostlyError, check_at_most, check_exif

_IN_FILE, _IN_IDAT = 0, 1


@dataclass
class Items:
    """What a file says of its items, each by its number.

    Attributes:
        data: the file's bytes.
        primary: the item that is shown.
        kinds: four letters each.
        extents: places and lengths in the file of an item's parts, none beyond its end.
        cut: items of which a part would end beyond the file's end.
        properties: kind, and start and end of the content, of each property in its order.
        owned: numbers of an item's properties, from 1 on.
        references: kind, item and the items that it refers to.
    """

    data: bytes
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)

    def size(self, item: int) -> int:
        """Bytes of an item, of which none may lie in two of its parts more often than the file is long."""
        size = sum(length for _, length in self.extents.get(item, ()))
        check_at_most(len(self.data), size, "bytes of an item")
        return size

    def content(self, item: int) -> bytes:
        """The bytes of an item."""
        self.size(item)
        return b"".join(self.data[start : start + length] for start, length in self.extents.get(item, ()))

    def properties_of(self, item: int, kind: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of the content of an item's properties of a kind."""
        for number in self.owned.get(item, ()):
            found, start, end = self.properties[number - 1]
            if number and found == kind:
                yield start, end

    def check_exif(self) -> None:
        """Raise `CostlyError` where EXIF data has too many entries."""
        for item, kind in self.kinds.items():
            if kind == b"Exif" and (exif := self.content(item)):
                for start in {4, 4 + int.from_bytes(exif[:4], "big")}:
                    check_exif(exif, start, len(exif))


def items_of(data: bytes) -> Items:
    """Read the first box `meta` of a file.

    Raises:
        CostlyError: there are too many boxes or parts of items.
        struct.error, IndexError: it is damaged.
    """
    items = Items(data)
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"meta":
            inside = list(boxes(data, start + 4, end))
            idat = next((place for kind, place, _ in inside if kind == b"idat"), len(data))
            for kind, place, stop in inside:
                _read(items, kind, place, stop, idat)
            break
    return items


def boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box."""
    count = 0
    while place + 8 <= end:
        kind, start, place = box_at(data, place)
        count += 1
        check_at_most(METADATA_PIECES, count, "boxes")
        yield kind, start, min(place, end)


def _read(items: Items, kind: bytes, start: int, end: int, idat: int) -> None:
    data = items.data
    if kind == b"pitm":
        (items.primary,) = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)
    elif kind == b"iinf":
        items.kinds = dict(_kinds(data, start, end))
    elif kind == b"iloc":
        _read_extents(items, start, idat)
    elif kind == b"iref":
        items.references = list(_references(data, start, end))
    elif kind == b"iprp":
        for inner, place, stop in boxes(data, start, end):
            if inner == b"ipco":
                items.properties = list(boxes(data, place, stop))
            elif inner == b"ipma":
                items.owned |= _owned(data, place)


def _kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Number and kind of each item in the content of `iinf`."""
    wide = data[start] > 0
    for kind, place, stop in boxes(data, start + (8 if wide else 6), end):
        if kind == b"infe":
            long = data[place] == 3
            (item,) = struct.unpack_from(">I" if long else ">H", data, place + 4)
            about = data[place + 8 + 2 * long : stop]
            if about.startswith(b"mime") and about[4:].split(b"\0")[2:3] not in ([], [b""]):
                raise CostlyError("compressed metadata")
            yield item, about[:4]


def _references(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    letter, size = ("I", 4) if data[start] else ("H", 2)
    for kind, place, _ in boxes(data, start + 4, end):
        item, count = struct.unpack_from(f">{letter}H", data, place)
        check_at_most(METADATA_PIECES, count, "references of an item")
        yield kind, item, struct.unpack_from(f">{count}{letter}", data, place + size + 2)


class _Numbers:
    """Reads numbers of any size, one behind the other."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place

    def next(self, size: int) -> int:
        self.place += size
        if self.place > len(self.data):
            raise IndexError
        return int.from_bytes(self.data[self.place - size : self.place], "big")


def _owned(data: bytes, start: int) -> dict[int, list[int]]:
    """Numbers of each item's properties by the content of `ipma`."""
    version, wide = data[start], data[start + 3] & 1
    numbers = _Numbers(data, start + 4)
    count = numbers.next(4)
    check_at_most(METADATA_PIECES, count, "items with properties")
    found: dict[int, list[int]] = {}
    for _ in range(count):
        item = numbers.next(4 if version else 2)
        found[item] = [numbers.next(1 + wide) & (0x7FFF if wide else 0x7F) for _ in range(numbers.next(1))]
    return found


def _read_extents(items: Items, start: int, idat: int) -> None:
    """Read places and lengths of each item's parts from the content of `iloc`."""
    data = items.data
    version, sizes = data[start], struct.unpack_from(">H", data, start + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    numbers = _Numbers(data, start + 6)
    total = 0
    for _ in range(numbers.next(4 if version == 2 else 2)):
        item = numbers.next(4 if version == 2 else 2)
        method = numbers.next(2) & 15 if version else _IN_FILE
        if method not in (_IN_FILE, _IN_IDAT):
            raise CostlyError("an item that is a part of another")
        numbers.next(2)
        base = numbers.next(base_size) + (idat if method == _IN_IDAT else 0)
        for _ in range(numbers.next(2)):
            if version:
                numbers.next(index_size)
            place = base + numbers.next(offset_size)
            left = max(0, len(data) - place)
            length = numbers.next(length_size) or left
            if length > left:
                items.cut.add(item)
            items.extents.setdefault(item, []).append((place, min(length, left)))
            total += 1
            check_at_most(METADATA_PIECES, total, "parts of items")
