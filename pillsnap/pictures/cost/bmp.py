"""Cost of a BMP: run lengths, which Pillow decodes in Python."""

import struct

from pillsnap.pictures.cost.limits import check_at_most

RLE_PIXELS, RLE_BYTES = 250_000, 65_536
_INFO = struct.Struct("<IiiHHI")
_RUN_LENGTHS = (1, 2)


def check_bmp(data: bytes) -> None:
    """Raise `CostlyError` for a large BMP of run lengths."""
    size, width, height, _, _, compression = _INFO.unpack_from(data, 14)
    if size >= 40 and compression in _RUN_LENGTHS:
        check_at_most(RLE_PIXELS, abs(width * height), "pixels in run lengths")
        check_at_most(RLE_BYTES, len(data), "bytes of run lengths")
