"""Decoding: every kind of bad picture ends with its reason, every good one as upright RGB."""

import io
import struct
import sys
import zlib

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from pillsnap.pictures.decode import PictureError, decode_jpeg, decode_photo, encode_jpeg, photo_size
from pillsnap.pictures.scale import perceptual_hash, pyramid, shrink
from tests.support.aihub_files import png
from tests.support.costly_heic import said_smaller
from tests.support.heic_bytes import small


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = [200, 30, 30]
    image = Image.fromarray(pixels)
    return image.quantize(4) if mode == "P" else image.convert(mode)


def made_png(width: int, height: int, rows: bytes, *, interlaced: bool = False) -> bytes:
    """An RGB PNG of the given filtered rows."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def interlaced_png(pixels: np.ndarray) -> bytes:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    return made_png(pixels.shape[1], pixels.shape[0], rows, interlaced=True)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "photo_empty"),
        (b"hello", "photo_unreadable"),
        (png()[:-200], "photo_truncated"),
        (png()[:500], "photo_truncated"),
        (encode_jpeg(np.asarray(gradient()), 90)[:-100], "photo_truncated"),
        (made_png(60_000, 60_000, b"\0" * 100), "photo_too_large"),
        (made_png(0, 10, b""), "photo_truncated"),
        (flipped(png(), 5000), "photo_truncated"),
        (flipped(png(), 30), "photo_truncated"),
        (png()[:20], "photo_truncated"),
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


def test_every_kind_of_rgb_png_is_decoded_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    deep = pixels.astype(np.uint16) * 256 + 7
    kinds = {
        "plain": saved(Image.fromarray(pixels), "PNG"),
        "interlaced": interlaced_png(pixels),
        "16 bit": cv2.imencode(".png", deep[..., ::-1])[1].tobytes(),
        "with a gamma": saved(Image.fromarray(pixels), "PNG", gamma=0.5),
        "with orientation": saved(Image.fromarray(pixels), "PNG", exif=Image.Exif()),
    }
    for kind, data in kinds.items():
        assert np.array_equal(decode_photo(data), pixels), kind


def test_sixteen_bit_grey_is_scaled() -> None:
    image = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    assert set(np.unique(decode_photo(saved(image, "PNG")))) == {0x80}


def test_jpeg_round_trip_and_shrink() -> None:
    pixels = np.asarray(gradient())
    assert np.abs(decode_jpeg(encode_jpeg(pixels, 95)).astype(int) - pixels).mean() < 3
    assert shrink([pixels], 30).shape == (20, 30, 3)
    assert shrink([pixels], 100) is pixels


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with a bright ellipse."""
    rng = np.random.default_rng(seed)
    smooth = cv2.resize(rng.integers(0, 200, (6, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.ellipse(smooth, (width // 3, height // 2), (width // 5, height // 6), 30, 0, 360, (255, 240, 230), -1)


@pytest.mark.parametrize(("width", "height"), [(976, 1280), (977, 1281), (300, 90), (640, 61)])
def test_a_small_picture_is_the_mean_of_the_large_one(width, height) -> None:
    large = picture(width, height)
    for long_side in (48, 100, max(width, height) // 2, max(width, height) - 1):
        small = shrink(pyramid(large), min(long_side, max(width, height)))
        mean = Image.fromarray(large).resize(small.shape[1::-1], Image.Resampling.BOX)
        assert max(small.shape[:2]) == min(long_side, max(width, height))
        assert np.abs(small.astype(int) - np.asarray(mean)).mean() < 2


@pytest.mark.parametrize(("width", "height"), [(976, 1280), (977, 1281), (300, 90)])
def test_perceptual_hash_has_the_bits_of_imagehash(width, height) -> None:
    levels = pyramid(picture(width, height))
    grey = cv2.resize(cv2.cvtColor(levels[-1], cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)
    assert perceptual_hash(levels) == str(imagehash.phash(Image.fromarray(grey), hash_size=16))


def test_perceptual_hashes_of_copies_are_near_and_of_others_far() -> None:
    def distance(first: np.ndarray, second: np.ndarray) -> int:
        return (int(perceptual_hash(pyramid(first)), 16) ^ int(perceptual_hash(pyramid(second)), 16)).bit_count()

    one, other = picture(976, 1280), picture(976, 1280, seed=1)
    assert distance(one, decode_jpeg(encode_jpeg(one, 80))) <= 12
    assert distance(one, shrink(pyramid(one), 500)) <= 12
    assert distance(one, cv2.convertScaleAbs(one, alpha=0.95)) <= 12
    assert distance(one, other) > 40


def test_heic_without_its_package_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # its import fails
    for read in (decode_photo, lambda data: photo_size(io.BytesIO(data))):
        with pytest.raises(PictureError, match=r"photo_unreadable: a HEIC .* needs .*: pip install pillow-heif"):
            read(small())


def test_size_of_a_heic_of_too_many_pixels_is_refused_by_its_header() -> None:
    with pytest.raises(PictureError, match="photo_too_costly"):
        photo_size(io.BytesIO(said_smaller()))
