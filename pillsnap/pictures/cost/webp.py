"""Cost of a WebP: its chunks."""

import struct

from pillsnap.pictures.cost.limits import check_at_most, check_exif

CHUNKS = 10_000
"""Chunks, frames of an animation among them; libwebp lists them all."""

_CHUNK = struct.Struct("<4sI")


def check_webp(data: bytes) -> None:
    """Raise `CostlyError` for a WebP of too many chunks or too much EXIF data."""
    place, count = 12, 0
    while place + _CHUNK.size <= len(data):
        kind, length = _CHUNK.unpack_from(data, place)
        count += 1
        check_at_most(CHUNKS, count, "chunks")
        if kind == b"EXIF":
            check_exif(data, place + 8, place + 8 + length)
        place += _CHUNK.size + length + length % 2
