"""Cost of a HEIC: the pixels that are decoded for those that are shown, and the units of HEVC in each item."""

import struct
from collections.abc import Iterator

from pillsnap.pictures.cost.items import Items, items_of
from pillsnap.pictures.cost.limits import METADATA_PIECES, CostlyError, check_at_most

PICTURES_TO_DECODE = 2
"""Pixels that are decoded for one that is shown: tiles over the edge, and the picture's transparency."""
PIXELS_BESIDE = 300_000
"""Of small pictures with large tiles; phones' have 512 pixels a side, and decoding one takes milliseconds."""
BYTES_PER_PIXEL = 3
"""What a pixel has uncompressed."""
PICTURES = 100
"""Beside each other in a file, as of a burst: all are listed with their metadata."""
METADATA_BYTES, PROPERTY_BYTES = 2**20, 16 * 2**20
"""Of all pictures together, since each is given what it shares with others once more."""
PARAMETER_SETS = 16
"""Units before a tile's own, which are read for every tile."""
DEPTH = 4

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_MOST_BRANDS = 32
_PARTS, _BESIDE = (b"grid", b"iden", b"iovl"), (b"hvc1", b"tmap")
_DERIVED, _AUXILIARY, _THUMBNAIL, _DESCRIBES = b"dimg", b"auxl", b"thmb", b"cdsc"
_ALPHA = (b":alpha\0", b":auxid:1\0")
_SLICES = range(32)
_SEQUENCE = 33
"""Kinds of HEVC's units (ITU-T H.265, table 7-1): slices, and the parameters that hold the size of what is decoded."""


def is_heic(head: bytes) -> bool:
    """Tell by its first bytes whether a file is a HEIC: the brand of its box `ftyp`, or one that it is compatible with.

    AVIF is the same container, and both may name `mif1` first.
    """
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : min(int.from_bytes(head[:4], "big"), 8 + 4 * _MOST_BRANDS)]
    return any(brands[place : place + 4] in _BRANDS for place in range(0, len(brands), 4) if place != 4)


def check_heic(data: bytes) -> None:
    """Check what would be decoded of a HEIC.

    Raises:
        CostlyError: too many boxes, items, pixels that are not shown, or pictures in an item.
        struct.error, IndexError, ZeroDivisionError: it is damaged, or ends before a part of the picture, which libheif
            would leave grey.
    """
    items = items_of(data)
    _check_metadata(items)
    shown = _shown(items)
    decoded = _Decoded(items)
    pixels = decoded.by(items.primary, DEPTH)
    for kind, item, others in items.references:
        alpha = any(data[start:end].endswith(_ALPHA) for start, end in items.properties_of(item, b"auxC"))
        if kind == _AUXILIARY and alpha and others[0] in {items.primary, *decoded.pixels}:
            pixels += decoded.by(item, DEPTH)
    check_at_most(PICTURES_TO_DECODE * shown + PIXELS_BESIDE, pixels, "pixels that are not shown")


def _check_metadata(items: Items) -> None:
    items.check_exif()
    within = {other for kind, _, others in items.references if kind == _DERIVED for other in others}
    within |= {item for kind, item, _ in items.references if kind in (_AUXILIARY, _THUMBNAIL)}
    pictures = [item for item, kind in items.kinds.items() if kind in _PARTS + _BESIDE and item not in within]
    check_at_most(PICTURES, len(pictures), "pictures in a file")
    described = (items.size(item) * len(others) for kind, item, others in items.references if kind == _DESCRIBES)
    check_at_most(METADATA_BYTES, sum(described), "bytes of metadata")
    lengths = [end - start for _, start, end in items.properties]
    owned = (lengths[number - 1] for numbers in items.owned.values() for number in numbers if number)
    check_at_most(PROPERTY_BYTES, sum(owned), "bytes of properties")


def _shown(items: Items) -> int:
    """Pixels of the picture as it is shown: cropped, where it is."""
    (start, _), *_ = [*items.properties_of(items.primary, b"ispe")] or [(len(items.data), 0)]
    width, height = struct.unpack_from(">II", items.data, start + 4)
    for crop, _ in items.properties_of(items.primary, b"clap"):
        across, per_column, down, per_row = struct.unpack_from(">4I", items.data, crop)
        width, height = min(width, across // per_column), min(height, down // per_row)
    return width * height


class _Decoded:
    """Pixels that are decoded for each item, counted once for all that refer to it."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.parts = {item: others for kind, item, others in items.references if kind == _DERIVED}
        self.pixels: dict[int, int] = {}
        self.parameters: dict[int, tuple[int, int]] = {}

    def by(self, item: int, depth: int) -> int:
        """Pixels of an item and of what it is made of, each part as often as it is named."""
        if item not in self.pixels:
            check_at_most(DEPTH, DEPTH + 1 - depth, "pictures made of others in each other")
            kind = self.items.kinds.get(item, b"")
            if kind == b"hvc1":
                self.pixels[item] = self._coded(item)
            elif kind in _PARTS:
                self.pixels[item] = sum(self.by(part, depth - 1) for part in self.parts.get(item, ()))
            elif kind:
                raise CostlyError(f"a picture of kind {kind.decode('ascii', 'replace')!r}, which no phone writes")
            else:
                return 0
        return self.pixels[item]

    def _coded(self, item: int) -> int:
        """Pixels of an item by its parameters, whatever size it is said to have; its units are counted."""
        if item in self.items.cut:
            raise IndexError
        (start, end), *_ = [*self.items.properties_of(item, b"hvcC")] or [(len(self.items.data), 0)]
        if start not in self.parameters:
            units = _parameters(self.items.data, start, end)
            sizes = [_pixels(unit) for unit in units if _kind(unit) == _SEQUENCE]
            self.parameters[start] = (self.items.data[start + 21] & 3) + 1, max(sizes, default=0)
        prefix, pixels = self.parameters[start]
        check_at_most(BYTES_PER_PIXEL * pixels + 65_536, self.items.size(item), "bytes of pixels")
        pictures = 0
        for unit in _units(self.items.content(item), prefix):
            if _kind(unit) == _SEQUENCE:
                raise CostlyError("a size within the pixels")
            pictures += _kind(unit) in _SLICES and unit[2] >> 7
            if pictures > 1:
                raise CostlyError("several pictures in an item")
        return pixels


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _parameters(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Units in the content of `hvcC` (ISO/IEC 14496-15, 8.3.2.1)."""
    place, count = start + 23, 0
    for _ in range(data[start + 22]):
        (units,) = struct.unpack_from(">H", data, place + 1)
        place += 3
        for _ in range(units):
            count += 1
            check_at_most(PARAMETER_SETS, count, "parameter sets")
            (length,) = struct.unpack_from(">H", data, place)
            yield data[place + 2 : min(place + 2 + length, end)]
            place += 2 + length


def _units(content: bytes, prefix: int) -> Iterator[bytes]:
    """First bytes of each unit of an item, whose length stands before it."""
    place, count = 0, 0
    while place + prefix + 2 < len(content):
        length = int.from_bytes(content[place : place + prefix], "big")
        place += prefix
        count += 1
        check_at_most(METADATA_PIECES, count, "units")
        yield content[place : place + 3]
        place += length


def _pixels(unit: bytes) -> int:
    """Width times height in luma samples by a sequence's parameters (ITU-T H.265, 7.3.2.2)."""
    plain = unit.replace(b"\0\0\3", b"\0\0")
    bits = _Bits(plain[2:])
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1 + 88 + 8)
    present = [bits.take(2) for _ in range(8 if sub_layers else 0)][:sub_layers]
    for layer in present:
        bits.take(88 * (layer >> 1) + 8 * (layer & 1))
    bits.number()
    if bits.number() == 3:
        bits.take(1)
    return bits.number() * bits.number()


class _Bits:
    """Reads bits, the highest first; behind the end all are zero."""

    def __init__(self, data: bytes) -> None:
        self.bits, self.place = "".join(f"{byte:08b}" for byte in data[:256]), 0

    def take(self, count: int) -> int:
        """The number of so many bits."""
        self.place += count
        return int(self.bits[self.place - count : self.place] or "0", 2)

    def number(self) -> int:
        """A number in the Exp-Golomb code (ITU-T H.265, 9.2)."""
        zeros = 0
        while self.take(1) == 0:
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.take(zeros)
