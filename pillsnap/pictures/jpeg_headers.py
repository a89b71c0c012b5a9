"""Put right what libjpeg warns of in a JPEG although no pixel is lost: the headers around its pixels."""

import struct

from pillsnap.pictures.cost.jpeg import ALONE, END, FRAMES, IN_ONE_SCAN, MARKER_IN_SCAN, START_OF_SCAN, next_segment

_APP0, _APP2 = 0xE0, 0xE2
_JFIF_1_01 = b"\x01\x01"
_WHOLE_SPECTRUM = b"\x00\x3f\x00"
"""Coefficients and bits of a scan of a sequential JPEG, which has them all."""


def with_plain_headers(data: bytes, *, padding: int) -> bytes:
    """Return the first picture of a JPEG's file as a strict decoder takes it, its pixels' bytes unchanged.

    An unknown revision of JFIF becomes 1.01, which all are read as; pieces of ICC profiles and junk between segments
    are left out; the scan says that it has all pixels, and ends with the end marker. A picture in several scans is
    returned as it is: decoding it twice would cost more than `pillsnap.pictures.cost` allows.

    Args:
        data: the file's bytes.
        padding: bytes before the end marker that no pixel takes; left out where they are zero.

    Raises:
        struct.error, IndexError: the headers are cut off.
    """
    parts, place, frame, components = [b"\xff\xd8"], 2, 0, 0
    while True:
        marker, place = next_segment(data, place)
        if marker == END:
            return data
        if marker in ALONE:
            continue
        segment = data[place : place + struct.unpack_from(">H", data, place)[0]]
        place += len(segment)
        if marker == START_OF_SCAN:
            break
        if marker in FRAMES:
            frame, components = marker, segment[7]
        if marker == _APP0 and segment.startswith(b"JFIF\0", 2):
            segment = segment[:7] + _JFIF_1_01 + segment[9:]
        if not (marker == _APP2 and segment.startswith(b"ICC_PROFILE\0", 2)):
            parts += [bytes((0xFF, marker)), segment]
    if frame not in IN_ONE_SCAN or segment[2] != components:
        return data
    scan = bytes((0xFF, START_OF_SCAN)) + segment[:-3] + _WHOLE_SPECTRUM + _scan(data, place, padding)
    return b"".join([*parts, scan, bytes((0xFF, END))])


def _scan(data: bytes, place: int, padding: int) -> bytes:
    """Return the bytes of the pixels from `place` to the next marker."""
    found = MARKER_IN_SCAN.search(data, place)
    scan = data[place : found.start() if found else len(data)]
    return scan[:-padding] if padding and not any(scan[-padding:]) else scan
