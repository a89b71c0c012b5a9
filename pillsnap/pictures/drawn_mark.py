"""The mark by which pictures that `pillsnap predict` has drawn are told from photographs."""

from pathlib import Path

from PIL import ExifTags, Image

PICTURE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""Formats to write, by file name extension."""
DRAWN_BY = "drawn by pillsnap predict"
"""The software that an annotated photograph names in its EXIF data."""
_EXIF_WITHIN = 1024
"""Bytes at the start of a written file in which its EXIF data lie."""


def drawn_mark() -> Image.Exif:
    """EXIF data for a picture that is drawn."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = DRAWN_BY
    return exif


def is_drawn(path: Path) -> bool:
    """Whether a file is such a picture, by its ending and first bytes; `False` where it cannot be read."""
    try:
        if path.suffix.lower() not in PICTURE_FORMATS or not path.is_file():
            return False
        with path.open("rb") as file:
            return DRAWN_BY.encode() in file.read(_EXIF_WITHIN)
    except OSError:
        return False
