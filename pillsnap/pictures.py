"""Bytes to pixels and back. Every picture of the project is decoded here, always to RGB uint8."""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import pyspng
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: 100 megapixels, 80 times an AIHub photograph."""

_EXIF_ORIENTATION = 0x0112


class PictureError(ValueError):
    """Bytes that are no usable picture; `reason` is one of the quarantine's reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_photo(data: bytes) -> np.ndarray:
    """Decode a photograph, turned as its EXIF orientation says.

    Plain 8-bit RGB PNGs go through libspng and JPEGs through libjpeg-turbo (both measured faster than
    Pillow); everything else goes through Pillow.

    Args:
        data: the file's bytes, PNG, JPEG or any other format that Pillow reads.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        PictureError: `photo_empty`, `photo_unreadable`, `photo_truncated` or `photo_too_large`.
    """
    if not data:
        raise PictureError("photo_empty", "0 bytes")
    with _opened(io.BytesIO(data)) as image:
        return _decode(data, image)


def photo_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a photograph by its header, turned as its EXIF orientation says.

    Raises:
        PictureError: `photo_unreadable`, `photo_truncated` or `photo_too_large`.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file, _opened(file) as image:
        sideways = image.format == "JPEG" and image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
        return image.size[::-1] if sideways else image.size


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """The picture in `file` with its header read; whatever the block raises on damaged bytes is a `PictureError`."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError("photo_too_large", f"{image.width} x {image.height} pixels, limit {MAX_PIXELS}")
            yield image
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError("photo_too_large", str(error)) from error
    except (UnidentifiedImageError, ModuleNotFoundError) as error:
        # ultralytics, once imported, makes Pillow look for a HEIF plugin that is not there; Pillow's own message holds
        # a memory address, which would make two equal quarantines differ
        file.seek(0)
        raise PictureError("photo_unreadable", f"no known picture format, begins with {file.read(8)!r}") from error
    except (OSError, SyntaxError, ValueError, RuntimeError, TypeError, struct.error) as error:
        # Pillow's readers raise any of these on damaged bytes, EXIF data included
        raise PictureError("photo_truncated", str(error).replace("\n", " ")[:200]) from error


def _decode(data: bytes, image: Image.Image) -> np.ndarray:
    turned = image.format == "JPEG" and image.getexif().get(_EXIF_ORIENTATION, 1) != 1
    if image.format == "PNG" and image.mode == "RGB":
        return np.ascontiguousarray(pyspng.load(data, format="RGB"))
    if image.format == "JPEG" and image.mode == "RGB" and not turned:
        return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    upright = ImageOps.exif_transpose(image)
    if "transparency" in upright.info or upright.mode in ("RGBA", "LA", "PA"):
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return np.ascontiguousarray(np.asarray(upright.convert("RGB")))


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decode a JPEG that this project wrote: uint8 (H, W, 3), RGB."""
    return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)


def encode_jpeg(picture: np.ndarray, quality: int) -> bytes:
    """Encode uint8 (H, W, 3) RGB as JPEG without colour subsampling, so that coloured imprints stay sharp."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality=quality, colorspace="RGB", colorsubsampling="444"
    )


def shrink(picture: np.ndarray, long_side: int) -> np.ndarray:
    """Shrink so that the longer side is `long_side` pixels (never enlarge), by area averaging."""
    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
