"""Boxes of which AVIF, HEIC and JP2 files consist."""

import struct


def box_at(data: bytes, place: int) -> tuple[bytes, int, int]:
    """Kind, start and end of the content of the box at `place`; a box of no length reaches to the file's end."""
    length, kind = struct.unpack_from(">I4s", data, place)
    head = 8
    if length == 1:
        (length,), head = struct.unpack_from(">Q", data, place + 8), 16
    return kind, place + head, place + max(length, head) if length else len(data)
