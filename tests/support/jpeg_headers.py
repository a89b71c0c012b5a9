"""JPEGs of which libjpeg warns although no pixel is lost, as phones, cameras and editors write them."""

import struct
from collections.abc import Callable

from tests.support.picture_bytes import saved, scene_image

DQT, SOS = b"\xff\xdb", b"\xff\xda"
JFIF_MAJOR = 11


def _plain() -> bytes:
    return saved(scene_image(), "JPEG", quality=90)


def _before(marker: bytes, piece: bytes) -> bytes:
    data = _plain()
    return data.replace(marker, piece + marker, 1)


def _with_scan(spectrum: bytes) -> bytes:
    """A scan header that names other coefficients than a sequential JPEG has."""
    data = _plain()
    place = data.index(SOS) + 2
    end = place + struct.unpack_from(">H", data, place)[0]
    return data[: end - 3] + spectrum + data[end:]


def _of_revision(major: int) -> bytes:
    data = _plain()
    return data[:JFIF_MAJOR] + bytes([major]) + data[JFIF_MAJOR + 1 :]


WARNED_OF: dict[str, Callable[[], bytes]] = {
    "coefficients 0 to 0": lambda: _with_scan(b"\0\0\0"),
    "a bit of precision left": lambda: _with_scan(b"\0\x3f\x01"),
    "JFIF 2": lambda: _of_revision(2),
    "a piece of an ICC profile": lambda: _before(DQT, b"\xff\xe2\0\x10ICC_PROFILE\0\x05\x02"),
    "junk between segments": lambda: _before(SOS, b"\0\0\0"),
    "padding before its end": lambda: _plain()[:-2] + bytes(100) + b"\xff\xd9",
    "no end marker": lambda: _plain()[:-2],
}
"""Makes the scene as such a JPEG, by what is odd about it."""
