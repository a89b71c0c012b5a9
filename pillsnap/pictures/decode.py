"""Decode and encode pictures: every photograph of the project is decoded here, to RGB uint8."""

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
from kornia_rs.io import decode_image_png_u8
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from pillsnap.pictures.cost.check import check_cost
from pillsnap.pictures.cost.heic import is_heic
from pillsnap.pictures.cost.limits import CostlyError
from pillsnap.pictures.cost.profile import check_profile
from pillsnap.pictures.heic import HEAD, MISSING, open_heic
from pillsnap.pictures.jpeg_headers import with_plain_headers
from pillsnap.pictures.metadata import Metadata, metadata_of, orientation_of, png_metadata
from pillsnap.pictures.raw_photos import RAW_PHOTO, is_raw

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before decoding: 100 megapixels, 80 times an AIHub photograph."""

MAX_JPEG_SIDE = 65_500
"""Pixels along a side of a JPEG, by libjpeg."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
"""Formats that are opened beside HEIC, by Pillow's names; an MPO is a JPEG. Of the others that Pillow knows, some start
programs (EPS) and none holds photographs."""

REDUCTIONS = (8, 4, 2, 1)
"""What the sides of a JPEG can be divided by in decoding, most first: other scales of libjpeg cost more than all."""

_PNG_HEADER = struct.Struct(">16sIIBB")
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_UNUSED = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
"""libjpeg's warning of bytes before the end that no pixel takes."""
_RGB_8_BIT = (8, 2)
"""Bit depth and colour type in the header of a plain RGB PNG."""


class PictureError(ValueError):
    """Bytes that are no usable picture; `reason` is one of the quarantine's reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_photo(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a photograph whole: turned as its EXIF orientation says, its colours as its ICC profile says, on white
    where it is transparent, the first picture where it holds several.

    Plain 8-bit RGB PNGs go through the Rust `png` crate (in kornia-rs), which checks the CRC of every chunk, and JPEGs
    through libjpeg-turbo: both measured fastest, see benchmarks/prepare.md. Everything else goes through Pillow.

    Args:
        data: the file's bytes, a HEIC or in one of `PHOTO_FORMATS`. Of 10 to 16 bits a channel the upper 8 are kept.
            Other whole numbers are scaled so that 255, or the largest if that is more, becomes white; so are floats,
            with 1.
        max_pixels: of a picture, at most `MAX_PIXELS`; larger ones are refused by their header.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        PictureError: `photo_empty`, `photo_unreadable`, `photo_truncated`, `photo_too_large` or `photo_too_costly`.
    """
    return decode_reduced(data, least_side=None, max_pixels=max_pixels)[0]


def decode_reduced(
    data: bytes, *, least_side: int | None, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a photograph as `decode_photo`, a JPEG at 1/2, 1/4 or 1/8 where its longer side stays long enough.

    libjpeg leaves out the arithmetic of the pixels that nobody asked for; it still reads every bit, and so finds the
    same damage.

    Args:
        data: the file's bytes.
        least_side: pixels that the longer side keeps at least, where the photograph has them. `None`: all.
        max_pixels: of the whole photograph.

    Returns:
        uint8 array (H, W, 3), RGB, and width and height of the whole photograph, upright, in pixels.

    Raises:
        PictureError: as `decode_photo`.
    """
    if not data:
        raise PictureError("photo_empty", "0 bytes")
    try:
        check_cost(data)
        return _decode(data, max_pixels, least_side)
    except CostlyError as error:
        raise PictureError("photo_too_costly", str(error)) from error


def photo_size(photo: str | Path | BinaryIO) -> tuple[int, int]:
    """Read width and height of a photograph from its header, turned as its EXIF orientation says.

    Raises:
        PictureError: `photo_unreadable`, `photo_truncated`, `photo_too_large` or `photo_too_costly`.
        OSError: the file cannot be read.
    """
    if isinstance(photo, str | Path):
        with Path(photo).open("rb") as file:
            return photo_size(file)
    with _open_image(photo, MAX_PIXELS) as image:
        return image.size[::-1] if metadata_of(image, photo).sideways else image.size


def stored_orientation(data: bytes) -> int:
    """Read the EXIF orientation of a photograph as it is stored, from its header: 1 to 8, from 5 on it lies sideways.

    Raises:
        PictureError: as `photo_size`.
    """
    with _open_image(io.BytesIO(data), MAX_PIXELS) as image:
        return orientation_of(image, io.BytesIO(data))


def header_size(photo: str | Path | BinaryIO) -> tuple[int, int]:
    """Width and height as of `photo_size`; 1 and 1 where there is no header, which is found out when it is decoded."""
    try:
        return photo_size(photo)
    except (PictureError, OSError):
        return 1, 1


@contextlib.contextmanager
def _open_image(file: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """Open the picture in `file` by its header; whatever the block raises on damaged bytes is a `PictureError`."""
    head = file.read(HEAD)
    if is_raw(head, {}):
        raise PictureError("photo_unreadable", RAW_PHOTO)
    try:
        with open_heic(file) if is_heic(head) else Image.open(file, formats=PHOTO_FORMATS) as image:
            if isinstance(image, TiffImageFile) and is_raw(head, image.tag_v2):
                raise PictureError("photo_unreadable", RAW_PHOTO)
            _check_size(image.width, image.height, max_pixels)
            yield image
    except PictureError:
        raise
    except CostlyError as error:
        raise PictureError("photo_too_costly", str(error)) from error
    except Image.DecompressionBombError as error:
        raise PictureError("photo_too_large", str(error)) from error
    except (UnidentifiedImageError, ModuleNotFoundError) as error:
        if is_heic(head):
            raise PictureError("photo_unreadable", MISSING) from error
        # ultralytics, once imported, makes Pillow look for a HEIF plugin that is not there; Pillow's own message holds
        # a memory address, which would make two equal quarantines differ
        raise PictureError("photo_unreadable", f"no known picture format, begins with {head[:8]!r}") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise PictureError("photo_truncated", str(error).replace("\n", " ")[:200]) from error


def _decode(data: bytes, max_pixels: int, least_side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    if data[:16] == _PNG_START and len(data) >= _PNG_HEADER.size:
        _, width, height, *kind = _PNG_HEADER.unpack_from(data)
        if tuple(kind) == _RGB_8_BIT:
            _check_size(width, height, max_pixels)
            metadata = _checked(png_metadata(io.BytesIO(data)))
            return _upright(metadata, _decode_png(data, width, height), (width, height))
    with _open_image(io.BytesIO(data), max_pixels) as image:
        metadata = _checked(metadata_of(image, io.BytesIO(data)))
        if image.format in ("JPEG", "MPO") and image.mode == "RGB":
            return _upright(metadata, _decode_jpeg(data, _factor(image.size, least_side)), image.size)
        return _upright(metadata, _pixels(image), image.size)


def _upright(metadata: Metadata, picture: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    return metadata.apply(picture), size[::-1] if metadata.sideways else size


def _factor(size: tuple[int, int], least_side: int | None) -> int:
    """By how much a JPEG is reduced: the most that keeps `least_side`."""
    if least_side is None:
        return 1
    return next(factor for factor in REDUCTIONS if factor == 1 or max(size) >= factor * least_side)


def _decode_jpeg(data: bytes, factor: int) -> np.ndarray:
    """Decode a JPEG strictly, headers that lose no pixel aside: libjpeg's first warning would hide all others."""
    try:
        return decode_jpeg(data, factor=factor)
    except ValueError as error:
        unused = _UNUSED.search(str(error))
        with contextlib.suppress(struct.error, IndexError):  # cut off within its headers
            plain = with_plain_headers(data, padding=int(unused[1]) if unused else 0)
            if plain != data:
                return decode_jpeg(plain, factor=factor)
        raise


def _checked(metadata: Metadata) -> Metadata:
    check_profile(metadata.profile)
    return metadata


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the first picture as stored: uint8 (H, W, 3), RGB."""
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _grey(_to_8_bit(np.asarray(image), white=1.0 if image.mode == "F" else 255.0))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        white = Image.new("RGB", image.size, "white")
        image = image.convert("RGBA")
        white.paste(image, mask=image)
        image = white
    return np.ascontiguousarray(np.asarray(image.convert("RGB")))


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def _to_8_bit(values: np.ndarray, white: float) -> np.ndarray:
    """Scale so that `white`, or the largest value if that is more, becomes 255; NaN and infinities become 0."""
    finite = np.where(np.isfinite(values), values, 0)
    return np.clip(finite * (255 / max(white, float(finite.max()))), 0, 255).round().astype(np.uint8)


def _decode_png(data: bytes, width: int, height: int) -> np.ndarray:
    try:
        return decode_image_png_u8(data, (height, width), "rgb")
    except Exception as error:  # the decoder raises nothing narrower
        raise PictureError("photo_truncated", str(error)[:200]) from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError("photo_too_large", f"{width} x {height} pixels, limit {max_pixels}")


def decode_jpeg(data: bytes | np.ndarray, *, factor: int = 1) -> np.ndarray:
    """Decode a JPEG of `encode_jpeg`, bytes or uint8 array: uint8 (H, W, 3), RGB.

    With a `factor` of `REDUCTIONS` both sides are divided by it, rounded up.
    """
    if factor == 1:
        return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
    height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=True)
    least = {"min_height": -(-height // factor), "min_width": -(-width // factor), "min_factor": factor}
    return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, **least)


def decode_jpeg_into(data: bytes | np.ndarray, picture: np.ndarray) -> None:
    """Decode a JPEG like `decode_jpeg` into an existing array: uint8 (H, W, 3), contiguous.

    Raises:
        ValueError: the JPEG is damaged, or of another size.
    """
    height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=True)
    if (height, width, 3) != picture.shape:
        raise ValueError(f"a JPEG of {width} x {height} pixels, not {picture.shape[1]} x {picture.shape[0]}")
    simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, buffer=picture)


def encode_jpeg(picture: np.ndarray, quality: int, *, full_colour: bool = True) -> bytes:
    """Encode uint8 (H, W, 3) RGB as JPEG.

    Colours are kept at full resolution, so that coloured imprints stay sharp, or at half of it (4:2:0), which is
    smaller and faster. Raises `ValueError` where a side is longer than `MAX_JPEG_SIDE`.
    """
    sampling = "444" if full_colour else "420"
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality=quality, colorspace="RGB", colorsubsampling=sampling
    )
