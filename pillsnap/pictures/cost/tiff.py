"""Cost of a TIFF: tags, strips and tiles of its first directory."""

import struct

from pillsnap.pictures.cost.limits import METADATA_PIECES, check_at_most

JPEG_SCANS = 30
"""Scans besides one a strip or tile; libtiff stops at 100 in each."""

_WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _TILES = 256, 257, 259, 273, 324
_JPEG = (6, 7)
_KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def check_tiff(data: bytes) -> None:
    """Raise `CostlyError` for a TIFF of too many tags, strips, tiles or scans."""
    order = "<" if data[:1] == b"I" else ">"
    big = data[2:4].strip(b"\0") == b"+"
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    head = struct.Struct(order + ("Q" if big else "H"))
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    (count,) = head.unpack_from(data, place)
    check_at_most(METADATA_PIECES, count, "tags")
    place += head.size
    tags: dict[int, tuple[int, int]] = {}
    for tag, kind, values, first in entry.iter_unpack(data[place : place + count * entry.size]):
        value = struct.unpack_from(order + _KINDS[kind], first)[0] if kind in _KINDS else 0
        tags.setdefault(tag, (values, value))
    pieces = max(tags.get(tag, (0, 0))[0] for tag in (_STRIPS, _TILES))
    pixels = tags.get(_WIDTH, (0, 0))[1] * tags.get(_HEIGHT, (0, 0))[1]
    # 1.25 megapixels in strips of one row have 976; each strip or tile takes microseconds
    check_at_most(2_000 + pixels // 1_000, pieces, "strips or tiles")
    if tags.get(_COMPRESSION, (0, 0))[1] in _JPEG:
        check_at_most(JPEG_SCANS + pieces, data.count(b"\xff\xda"), "scans")
