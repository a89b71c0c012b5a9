"""Cost of a JPEG 2000: boxes, tiles and packets, by the headers alone."""

import struct

from pillsnap.pictures.cost.boxes import box_at
from pillsnap.pictures.cost.limits import METADATA_PIECES, CostlyError, check_at_most

PIXELS_PER_PACKET = 64
"""Least mean number of pixels in a packet: a layer of a part of a component's resolution in a tile."""

_SIZE = struct.Struct(">HIIIIIIIIH")
_SIZ, _COD, _COC, _POC, _START_OF_TILE, _START_OF_DATA = 0xFF51, 0xFF52, 0xFF53, 0xFF5F, 0xFF90, 0xFF93
_WITH_BOXES = (b"jp2h", b"res ")
_OWN_CODING = (_COD, _COC, _POC)


def check_jpeg2000(data: bytes) -> None:
    """Raise `CostlyError` for a JPEG 2000 of too many boxes, segments or packets."""
    place = _codestream(data) + 2
    packets = tiles = pixels = pieces = raw = 0
    size: tuple[int, ...] = ()
    while True:
        marker, length = struct.unpack_from(">HH", data, place)
        pieces += 1
        check_at_most(METADATA_PIECES, pieces, "segments")
        if marker == _START_OF_TILE:
            break
        if marker == _SIZ:
            size = _SIZE.unpack_from(data, place + 4)
            width, height = size[1] - size[3], size[2] - size[4]
            pixels, raw = width * height, width * height * size[9] * ((data[place + 40] & 127) // 8 + 1)
            tiles = -(-(size[1] - size[7]) // size[5]) * -(-(size[2] - size[8]) // size[6])
        elif marker == _COD:
            packets = _packets(data, place + 4, size)
        elif marker in _OWN_CODING:
            raise CostlyError("a coding of its own for a component")
        place += 2 + length
    check_at_most(1_000 + pixels // PIXELS_PER_PACKET, packets * tiles, "packets")
    check_at_most(raw + raw // 10 + 65_536, len(data) - place, "bytes of pixels")
    _check_tiles(data, place, parts=METADATA_PIECES + 4 * tiles)


def _codestream(data: bytes) -> int:
    """Place of the codestream: in a JP2 within a box."""
    place, boxes = 0, 0
    while not data.startswith(b"\xff\x4f\xff\x51", place):
        kind, start, end = box_at(data, place)
        boxes += 1
        check_at_most(METADATA_PIECES, boxes, "boxes")
        place = start if kind in _WITH_BOXES or kind == b"jp2c" else end
    return place


def _packets(data: bytes, place: int, size: tuple[int, ...]) -> int:
    """Packets of a whole tile: layers, times components, times precincts of all resolutions."""
    style, _, layers, _, levels = struct.unpack_from(">BBHBB", data, place)
    width, height = min(size[5], size[1] - size[3]), min(size[6], size[2] - size[4])
    precincts = 0
    for level in range(levels + 1):
        shift = levels - level
        sizes = data[place + 10 + level] if style & 1 else 0xFF
        across, down = shift + (sizes & 15), shift + (sizes >> 4)
        precincts += ((width >> across) + 1) * ((height >> down) + 1)
    return layers * size[9] * precincts


def _check_tiles(data: bytes, place: int, *, parts: int) -> None:
    """Walk over the parts of tiles: none may have a coding of its own, which would have other packets."""
    count = 0
    while data.startswith(b"\xff\x90", place):
        (length,) = struct.unpack_from(">I", data, place + 6)
        count += 1
        check_at_most(parts, count, "parts of tiles")
        inside = place + 12
        while (marker := struct.unpack_from(">H", data, inside)[0]) != _START_OF_DATA:
            if marker in _OWN_CODING:
                raise CostlyError("a coding of its own for a tile")
            count += 1
            check_at_most(parts, count, "parts of tiles")
            inside += 2 + struct.unpack_from(">H", data, inside + 2)[0]
        if not length:
            return
        place += max(length, 14)
