"""The one guard before every decoder: refuse files that cost far more than a photograph of their format and size.

Each format's module counts what its decoder pays for besides pixels. The limits lie where the worst picture that was
constructed takes at most three times as long as an honest one of its format and size, or 20 ms more:
`tests/campaign/test_costly_pictures.py` has the table, and what no walk can count.
"""

import struct
from collections.abc import Callable

from pillsnap.pictures.cost.avif import check_avif
from pillsnap.pictures.cost.bmp import check_bmp
from pillsnap.pictures.cost.gif import check_gif
from pillsnap.pictures.cost.heic import check_heic, is_heic
from pillsnap.pictures.cost.jpeg import check_jpeg
from pillsnap.pictures.cost.jpeg2000 import check_jpeg2000
from pillsnap.pictures.cost.png import check_png
from pillsnap.pictures.cost.ppm import check_ppm
from pillsnap.pictures.cost.tiff import check_tiff
from pillsnap.pictures.cost.webp import check_webp


def _check_avif_or_heic(data: bytes) -> None:
    (check_heic if is_heic(data) else check_avif)(data)


_CHECKS: tuple[tuple[int, tuple[bytes, ...], Callable[[bytes], None]], ...] = (
    (0, (b"\xff\xd8\xff",), check_jpeg),
    (0, (b"\x89PNG\r\n\x1a\n",), check_png),
    (8, (b"WEBP",), check_webp),
    (4, (b"ftyp",), _check_avif_or_heic),
    (0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), check_tiff),
    (0, (b"GIF8",), check_gif),
    (0, (b"BM",), check_bmp),
    (0, (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "), check_jpeg2000),
    (0, (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF", b"Py"), check_ppm),
)
"""Place and texts by which a format is known, and its check."""


def check_cost(data: bytes) -> None:
    """Refuse a picture's file that would keep its decoder busy.

    Damaged files and unknown formats pass: the decoder tells what is wrong with them.

    Raises:
        CostlyError: it has too much of something.
    """
    for place, texts, check in _CHECKS:
        if data.startswith(texts, place):
            try:
                check(data)
            except (struct.error, IndexError, ZeroDivisionError):
                return
