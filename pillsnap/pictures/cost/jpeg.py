"""Cost of a JPEG: its scans, and the segments before its pixels."""

import re
import struct

from pillsnap.pictures.cost.limits import METADATA_PIECES, CostlyError, check_at_most

EXIF_BYTES = 131_072
"""EXIF data, whose entries are read one by one; a segment holds half of it."""
SCANS = 30
"""Scans of a picture in several: each goes over all its blocks again. Cameras and editors write about 10; 40 nearly
empty ones of 22 megapixels take 2.6 times as long as an honest progressive JPEG."""
BYTES_PER_PIXEL = 2.5
"""Of a picture in several scans: quality 100 without subsampling has 1.4."""
RESOURCES = 2_000
"""Photoshop's resources, which are read one by one."""
PADDING = 16_384
"""Fill bytes and junk between two segments, which are read one by one."""

_SEGMENT = re.compile(rb"(?:[^\xff]|\xff+\x00)*\xff+([^\x00\xff])")
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
IN_ONE_SCAN = (0xC0, 0xC1)
_ARITHMETIC = 0xC9
START_OF_SCAN, END, _EXIF, _PHOTOSHOP = 0xDA, 0xD9, 0xE1, 0xED


def check_jpeg(data: bytes) -> None:
    """Raise `CostlyError` for a JPEG with too much before its pixels, or too many scans."""
    frame, parts, pixels = 0, 0, 0
    exif = resources = pieces = 0
    place = 2
    while True:
        marker, place = next_segment(data, place)
        if marker == END:
            return
        pieces += 1
        check_at_most(METADATA_PIECES, pieces, "segments")
        if marker in ALONE:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        if marker == START_OF_SCAN:
            break
        if marker in FRAMES:
            height, width, parts = struct.unpack_from(">HHB", data, place + 3)
            frame, pixels = marker, width * height
        elif marker == _EXIF and data.startswith(b"Exif\0", place + 2):
            exif += length
            check_at_most(EXIF_BYTES, exif, "bytes of EXIF data")
        elif marker == _PHOTOSHOP:
            resources += data.count(b"8BIM", place, place + length)
            check_at_most(RESOURCES, resources, "Photoshop resources")
        place += length
    if frame >= _ARITHMETIC:
        raise CostlyError("a JPEG of arithmetic coding, which no camera writes")
    if frame not in IN_ONE_SCAN or data[place + 2] != parts:
        _check_scans(data, place, pixels)


def next_segment(data: bytes, place: int) -> tuple[int, int]:
    """Return the marker of the next segment, and the place behind it; junk before it is passed over."""
    found = _SEGMENT.match(data, place, place + PADDING)
    if found:
        return found[1][0], found.end()
    if len(data) > place + PADDING:
        raise CostlyError(f"more than {PADDING:,} bytes between two segments")
    return END, len(data)


def _check_scans(data: bytes, place: int, pixels: int) -> None:
    """Count scans from the first one on, whose header is at `place`, to the picture's end."""
    first, scans, pieces = place, 1, 0
    while True:
        place += struct.unpack_from(">H", data, place)[0]
        found = MARKER_IN_SCAN.search(data, place)
        end = found.start() if found else len(data)
        check_at_most(int(BYTES_PER_PIXEL * pixels) + 65_536, end - first, "bytes of pixels")
        if not found or data[end + 1] == END:
            return
        scans, pieces, place = scans + (data[end + 1] == START_OF_SCAN), pieces + 1, end + 2
        check_at_most(SCANS, scans, "scans")
        check_at_most(METADATA_PIECES, pieces, "segments")
