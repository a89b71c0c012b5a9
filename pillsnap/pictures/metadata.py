"""EXIF orientation and ICC profile of a picture file.

Pillow's `ImageOps.exif_transpose` needs a Pillow image; most photographs are decoded to arrays without one.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms

_ORIENTATION = 0x0112
_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda picture: cv2.flip(picture, 1),
    3: lambda picture: cv2.rotate(picture, cv2.ROTATE_180),
    4: lambda picture: cv2.flip(picture, 0),
    5: cv2.transpose,
    6: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE),
    7: lambda picture: cv2.rotate(cv2.transpose(picture), cv2.ROTATE_180),
    8: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""Transformation of stored pixels to upright ones, by EXIF orientation; from 5 on, width and height are swapped."""

_PNG_CHUNK = struct.Struct(">I4s")
_LARGEST_PROFILE = 4 * 2**20


@dataclass(frozen=True)
class Metadata:
    """EXIF orientation (1 to 8; 1 where missing or unreadable) and ICC profile (empty where there is none).

    Damaged EXIF data or profiles are ignored: the pixels are taken as they are.
    """

    orientation: int = 1
    profile: bytes = b""

    @property
    def sideways(self) -> bool:
        """Whether the upright picture is as wide as the stored one is high."""
        return self.orientation >= 5

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return the stored picture, uint8 (H, W, 3), upright and in sRGB; the same array where both hold already."""
        turn = _TURNS.get(self.orientation)
        return _to_srgb(turn(picture) if turn else picture, self.profile)


def metadata_of(image: Image.Image, file: BinaryIO) -> Metadata:
    """Read the metadata of an opened picture.

    Args:
        image: opened; of JPEG, WebP, AVIF and HEIC only the header is read.
        file: its bytes, read again for a PNG, whose EXIF data may follow the pixels.
    """
    if image.format == "PNG":
        return png_metadata(file)
    profile = image.info.get("icc_profile") or b""
    # Pillow turns a TIFF by itself, and gives its size as turned
    return Metadata(1 if image.format == "TIFF" else orientation_of(image, file), profile)


def orientation_of(image: Image.Image, file: BinaryIO) -> int:
    """Read the EXIF orientation of an opened picture as it is stored; of a HEIC, which is stored upright, 1.

    Args:
        image: opened, and not decoded yet.
        file: its bytes, read again for a PNG.
    """
    if image.format == "PNG":
        return png_metadata(file).orientation
    return 1 if image.format == "HEIF" else _orientation(image.getexif)


def turned_box(box: Sequence[float], size: tuple[int, int], orientation: int) -> tuple[float, float, float, float]:
    """Return a box x, y, w, h of a stored picture in the upright one.

    Args:
        box: in pixels of the stored picture.
        size: width and height of the stored picture.
        orientation: 5 to 8, of a picture that lies sideways.
    """
    (x, y, w, h), (width, height) = box, size
    return (
        height - y - h if orientation in (6, 7) else y,
        width - x - w if orientation in (7, 8) else x,
        h,
        w,
    )


def png_metadata(file: BinaryIO) -> Metadata:
    """Read the chunks `eXIf` and `iCCP` of a PNG, wherever they are; of all others only the lengths."""
    orientation, profile = 1, b""
    file.seek(8)
    while len(head := file.read(_PNG_CHUNK.size)) == _PNG_CHUNK.size:
        length, kind = _PNG_CHUNK.unpack(head)
        if kind in (b"eXIf", b"iCCP"):
            body, length = file.read(length), 0
            if kind == b"eXIf":
                orientation = _orientation(partial(_parse_exif, body))
            else:
                profile = _decompress_profile(body)
        file.seek(length + 4, io.SEEK_CUR)
    return Metadata(orientation, profile)


def _orientation(read: Callable[[], Image.Exif]) -> int:
    try:
        value: Any = read().get(_ORIENTATION)
    except Exception:  # the parser raises nothing narrower on damaged data
        return 1
    return int(value) if value in _TURNS else 1


def _parse_exif(body: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(body)
    return exif


def _decompress_profile(body: bytes) -> bytes:
    """Return the profile in an `iCCP` chunk: a name, a zero, the method's byte, a zlib stream."""
    try:
        return zlib.decompressobj().decompress(body[body.index(b"\0") + 2 :], _LARGEST_PROFILE)
    except (ValueError, zlib.error):
        return b""


def _to_srgb(picture: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert colours from the profile to sRGB, which a picture without profile is taken for."""
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB" or "srgb" in ImageCms.getProfileDescription(source).lower():
            return picture
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        return np.asarray(ImageCms.applyTransform(Image.fromarray(picture), transform))
    except (ImageCms.PyCMSError, OSError, TypeError):
        return picture
