"""Decoding: every kind of bad picture ends with its reason, every good one as upright RGB."""

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import png
from PIL import Image

from pillsnap.pictures import PictureError, decode_jpeg, decode_photo, encode_jpeg, shrink


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = [200, 30, 30]
    image = Image.fromarray(pixels)
    return image.quantize(4) if mode == "P" else image.convert(mode)


def huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "photo_empty"),
        (b"hello", "photo_unreadable"),
        (png()[:-200], "photo_truncated"),
        (png()[:500], "photo_truncated"),
        (encode_jpeg(np.asarray(gradient()), 90)[:-100], "photo_truncated"),
        (huge_png(), "photo_too_large"),
    ],
)
def test_bad_pictures(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError) as error:
        decode_photo(data)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "data",
    [
        saved(gradient(), "PNG"),
        saved(gradient(), "JPEG", quality=95),
        saved(gradient("P"), "PNG"),
        saved(gradient("RGBA"), "PNG"),
        saved(gradient("CMYK"), "JPEG", quality=95),
        saved(gradient(), "WEBP", lossless=True),
        saved(gradient(), "BMP"),
    ],
)
def test_good_pictures_are_rgb(data: bytes) -> None:
    picture = decode_photo(data)
    assert (picture.shape, picture.dtype) == ((40, 60, 3), np.uint8)
    assert np.abs(picture[20, 10].astype(int) - [200, 30, 30]).max() < 12
    assert picture[20, 50].max() < 12


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_photo(saved(gradient(), "JPEG", exif=exif)).shape == (60, 40, 3)


def test_sixteen_bit_grey_is_scaled() -> None:
    image = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    assert set(np.unique(decode_photo(saved(image, "PNG")))) == {0x80}


def test_jpeg_round_trip_and_shrink() -> None:
    pixels = np.asarray(gradient())
    assert np.abs(decode_jpeg(encode_jpeg(pixels, 95)).astype(int) - pixels).mean() < 3
    assert shrink(pixels, 30).shape == (20, 30, 3)
    assert shrink(pixels, 100) is pixels
