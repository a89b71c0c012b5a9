"""Cost of a PNG: its chunks."""

import struct

from pillsnap.pictures.cost.limits import METADATA_PIECES, check_at_most, check_exif

EXIF_CHUNKS = 2
INFLATED = 6_000_000
"""Bytes that compressed texts and profiles may grow to, counted by what they can grow to at most; a megabyte takes up
to 2 ms, and a photograph has one profile and a few texts of a hundred bytes."""
BYTES_PER_CHUNK = 1_024
"""Least mean size of the chunks with pixels; usual ones have 8,192 bytes or more."""

_TEXT = 1_000_000  # to which Pillow inflates a chunk at most
_DEFLATED = 1_032  # times as long, at most, is what was deflated

_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIXELS = (b"IDAT", b"fdAT", b"fcTL")


def check_png(data: bytes) -> None:
    """Raise `CostlyError` for a PNG of too many chunks, or with more bytes than its pixels have uncompressed."""
    width, height, depth, colour = _HEADER.unpack_from(data, 16)
    raw = height * (1 + width * depth * _CHANNELS.get(colour, 4) // 8)
    most = 256 + len(data) // BYTES_PER_CHUNK
    place, pixels, pieces, others, inflated, exif = 8, 0, 0, 0, 0, 0
    while place + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, place)
        if kind in _PIXELS:
            pieces += 1
            pixels += length if kind == b"IDAT" else 0
            check_at_most(most, pieces, "chunks of pixels")
        else:
            others += 1
            check_at_most(METADATA_PIECES, others, "chunks")
            if kind == b"eXIf":
                exif += 1
                check_at_most(EXIF_CHUNKS, exif, "chunks of EXIF data")
                check_exif(data, place + 8, place + 8 + length)
            elif kind in (b"zTXt", b"iTXt", b"iCCP"):
                inflated += min(_TEXT, _DEFLATED * length)
                check_at_most(INFLATED, inflated, "bytes in compressed texts and profiles")
        place += 12 + length
    check_at_most(raw + raw // 10 + 65_536, pixels, "bytes of pixels")
