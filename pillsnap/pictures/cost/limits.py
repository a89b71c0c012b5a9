"""Error of a file that would keep a decoder busy, and the checks that raise it."""

import struct

EXIF_ENTRIES = 5_400
"""Entries in a photograph's EXIF data, which are read one by one: what a segment of a JPEG has room for."""
METADATA_PIECES = 1_000
"""Segments, chunks, boxes or tags besides the pixels'; each takes microseconds, and a photograph has some dozens."""


class CostlyError(ValueError):
    """A file costs far more to decode than a photograph of its size; the message says of what it has too much."""


def check_at_most(limit: int, count: int, what: str) -> None:
    """Raise `CostlyError` where a file has more than `limit` of something."""
    if count > limit:
        raise CostlyError(f"more than {limit:,} {what}")


def check_exif(data: bytes, place: int, end: int) -> None:
    """Raise `CostlyError` where the EXIF data from `place` to `end` has too many entries."""
    if data.startswith(b"Exif\0\0", place):
        place += 6
    order = "<" if data.startswith(b"II", place) else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, place + 4)
        (entries,) = struct.unpack_from(order + "H", data, place + start)
    except struct.error:
        return  # damaged EXIF data is ignored, and what follows it is still looked at
    check_at_most(EXIF_ENTRIES, min(entries, (end - place - start) // 12), "entries of EXIF data")
