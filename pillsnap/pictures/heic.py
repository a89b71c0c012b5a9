"""HEIC photographs of phones, through libheif in pillow-heif."""

import struct
from typing import BinaryIO

from PIL import Image

from pillsnap.pictures.cost.heic import check_heic

HEAD = 256
"""First bytes of a file by which a HEIC is known."""
MISSING = "a HEIC photograph, which needs the package pillow-heif: pip install pillow-heif"


def open_heic(file: BinaryIO) -> Image.Image:
    """Open a HEIC: the primary picture, upright as the file's own properties say, which its EXIF data only repeat.

    The file is read whole. What cannot be followed is damage here and never passes, since libheif forgives much.

    Raises:
        ModuleNotFoundError: pillow-heif is missing.
        CostlyError: opening or decoding it would take long.
        ValueError: it is damaged.
    """
    from pillow_heif import HeifImageFile, options

    options.DECODE_THREADS = 1  # photographs are decoded side by side already
    file.seek(0)
    try:
        check_heic(file.read())
    except (struct.error, IndexError, ZeroDivisionError) as error:
        raise ValueError("a HEIC whose structure is damaged, or whose end is missing") from error
    file.seek(0)
    return HeifImageFile(file)
