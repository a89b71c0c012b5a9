"""Files that people and programs send where a photograph is asked for, made in code, with what must come of each.

`ODD_PICTURES` is the one list of them, and the fixture `odd_picture` gives them one by one: import it into a test
module and take it as an argument.
"""

import functools
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from tests.support.costly_bytes import progressive_jpeg
from tests.support.costly_heic import of_pictures_in_an_item
from tests.support.heic_bytes import (
    EXIF_OF_3,
    deep_heic,
    heic,
    of_brand,
    of_several,
    see_through_heic,
    small,
    still,
    turned_heic,
)
from tests.support.jpeg_headers import WARNED_OF
from tests.support.picture_bytes import (
    CORNERS,
    DISPLAY_P3,
    GREYS,
    HEIGHT,
    ORIENTATION,
    SRGB,
    WIDTH,
    Colours,
    animated,
    deep_png,
    float_tiff,
    grey_scene,
    halved,
    huge_exif_jpeg,
    icc_profile,
    luminance,
    noise,
    promising_jpeg,
    promising_png,
    raw_tiff,
    saved,
    scene,
    scene_image,
    see_through,
    see_through_palette,
    turned,
    wide_as_srgb,
    with_chunk,
)


@dataclass(frozen=True)
class OddPicture:
    """A file and what must come of it.

    Attributes:
        name: what is odd about it.
        make: makes its bytes.
        reason: of the `PictureError` that must come; `None` where it must be decoded.
        size: width and height of the upright picture.
        corners: RGB of the middle of its quarters, as in `CORNERS`; `None` where they are not looked at.
        tolerance: how far each value may be from that.
    """

    name: str
    make: Callable[[], bytes]
    reason: str | None = None
    size: tuple[int, int] = (WIDTH, HEIGHT)
    corners: Colours | None = None
    tolerance: int = 0

    @property
    def data(self) -> bytes:
        """The file's bytes, made once."""
        return _made(self)

    @property
    def usable(self) -> bool:
        """Whether it must be answered."""
        return self.reason is None


@functools.cache
def _made(picture: OddPicture) -> bytes:
    return picture.make()


def _same(values: Iterable[int]) -> Colours:
    return tuple((value,) * 3 for value in values)


def _odd_pictures() -> Iterator[OddPicture]:
    yield from _no_pictures()
    yield from _raw_photos()
    yield from _warned_of()
    yield from _bombs()
    yield from _turned_pictures()
    yield from _heics()
    yield from _colours()
    yield from _shapes()
    yield from _without_pill()


def _no_pictures() -> Iterator[OddPicture]:
    page = b"<!doctype html><html><body><h1>413</h1></body></html>"
    yield OddPicture("no bytes", lambda: b"", "photo_empty")
    yield OddPicture("one byte", lambda: b"\xff", "photo_unreadable")
    yield OddPicture("text", lambda: b"not a photograph\n" * 50, "photo_unreadable")
    yield OddPicture("Korean text", lambda: "사진이 아닙니다\n".encode(), "photo_unreadable")
    yield OddPicture("HTML", lambda: page, "photo_unreadable")
    yield OddPicture("SVG", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "photo_unreadable")
    yield OddPicture("zip", lambda: b"PK\x03\x04" + bytes(100), "photo_unreadable")
    yield OddPicture("PostScript", lambda: saved(scene_image(), "EPS"), "photo_unreadable")
    yield OddPicture("zeros", lambda: bytes(5000), "photo_unreadable")
    for kind in ("JPEG", "PNG", "WEBP"):
        yield OddPicture(f"truncated {kind}", functools.partial(halved, kind), "photo_truncated")
        yield OddPicture(
            f"{kind}'s first 40 bytes",
            functools.partial(lambda kind: saved(scene_image(), kind)[:40], kind),
            "photo_truncated",
        )


def _raw_photos() -> Iterator[OddPicture]:
    yield OddPicture("DNG", lambda: raw_tiff({50706: 0x0401}), "photo_unreadable")
    yield OddPicture("NEF", lambda: raw_tiff({254: 1}), "photo_unreadable")
    yield OddPicture("undeveloped TIFF", lambda: raw_tiff({262: 32803}), "photo_unreadable")
    yield OddPicture("CR3", lambda: b"\0\0\0\x18ftypcrx " + bytes(200), "photo_unreadable")
    yield OddPicture("TIFF of a DNG's shape", lambda: raw_tiff({}), corners=CORNERS)


def _warned_of() -> Iterator[OddPicture]:
    for name, make in WARNED_OF.items():
        yield OddPicture(f"JPEG with {name}", make, corners=CORNERS, tolerance=12)
    for name, make in WARNED_OF.items():
        yield OddPicture(f"truncated JPEG with {name}", lambda make=make: make()[:-60], "photo_truncated")


def _bombs() -> Iterator[OddPicture]:
    side = 50_000
    pgm = f"P5 {side} {side} 255\n".encode() + bytes(100)
    yield OddPicture("RGB PNG bomb", lambda: promising_png(side, side), "photo_too_large")
    yield OddPicture("1-bit PNG bomb", lambda: promising_png(side, side, depth=1, colour=0), "photo_too_large")
    yield OddPicture("JPEG bomb", lambda: promising_jpeg(side, side), "photo_too_large")
    yield OddPicture("JPEG of 300 scans", lambda: progressive_jpeg(300), "photo_too_costly")
    yield OddPicture("PGM bomb", lambda: pgm, "photo_too_large")
    gif = saved(scene_image(), "GIF")
    yield OddPicture("GIF bomb", lambda: gif[:6] + struct.pack("<HH", side, side) + gif[10:], "photo_too_large")


def _turned_pictures() -> Iterator[OddPicture]:
    for kind, options, tolerance in (
        ("JPEG", {"quality": 95}, 8),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
    ):
        for orientation in range(1, 9):
            make = functools.partial(turned, orientation, kind, **options)
            yield OddPicture(f"{kind} of orientation {orientation}", make, corners=CORNERS, tolerance=tolerance)
    yield OddPicture("AVIF of orientation 6", lambda: turned(6, "AVIF", quality=95), corners=CORNERS, tolerance=12)
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    upside_down = scene_image().rotate(180)
    yield OddPicture(
        "PNG with EXIF data behind its pixels",
        lambda: with_chunk(saved(upside_down, "PNG"), b"eXIf", exif.tobytes()[6:], last=True), corners=CORNERS,
    )  # fmt: skip
    yield OddPicture(
        "palette PNG with orientation 3", lambda: saved(upside_down.quantize(4), "PNG", exif=exif), corners=CORNERS
    )
    yield OddPicture(
        "16-bit grey PNG with orientation 3",
        lambda: saved(Image.fromarray(grey_scene([v * 257 for v in GREYS[::-1]], np.uint16)), "PNG", exif=exif),
        corners=_same(GREYS),
    )  # fmt: skip
    yield OddPicture(
        "JPEG with damaged EXIF data",
        lambda: saved(scene_image(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage"),
        corners=CORNERS, tolerance=8,
    )  # fmt: skip
    yield OddPicture(
        "PNG with damaged EXIF data",
        lambda: with_chunk(saved(scene_image(), "PNG"), b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"), corners=CORNERS,
    )  # fmt: skip


def _heics() -> Iterator[OddPicture]:
    """Upright once, although a file's own properties and its EXIF data say the same; EXIF data alone do not count."""
    wide = icc_profile(DISPLAY_P3, 2.2)
    white_right = (CORNERS[0], (255, 255, 255), CORNERS[2], (255, 255, 255))
    for orientation in range(1, 9):
        make = functools.partial(turned_heic, orientation)
        yield OddPicture(f"HEIC of orientation {orientation}", make, corners=CORNERS, tolerance=12)
    for name, make, corners in (
        ("HEIC of whose turn only EXIF data tell", lambda: small(exif=EXIF_OF_3), CORNERS),
        ("HEIC in tiles", lambda: small(tile_size=16), CORNERS),
        ("HEIC of 10 bits a channel", deep_heic, CORNERS),
        ("HEIC of a wide gamut", lambda: small(icc_profile=wide), wide_as_srgb()),
        ("HEIC with a damaged profile", lambda: small(icc_profile=b"garbage"), CORNERS),
        ("HEIC with alpha", see_through_heic, white_right),
        ("grey HEIC", lambda: heic(scene_image("L")), luminance()),
        ("HEIC of several pictures, the first counts", lambda: of_several(0), CORNERS),
        ("HEIC of several pictures, the second counts", lambda: of_several(1), CORNERS),
        ("HEIC that names mif1 first", lambda: of_brand(b"mif1"), CORNERS),
        ("HEIC of a sequence's brand", lambda: of_brand(b"hevc"), CORNERS),
        ("HEIC with a thumbnail", lambda: small(thumbnails=[16]), CORNERS),
    ):
        yield OddPicture(name, make, corners=corners, tolerance=12)
    yield OddPicture("truncated HEIC", lambda: small()[:-100], "photo_truncated")
    yield OddPicture(
        "HEIC of tiles, the last of which are missing", lambda: small(tile_size=32)[:-100], "photo_truncated"
    )
    yield OddPicture("HEIC's first 40 bytes", lambda: small()[:40], "photo_truncated")
    yield OddPicture("HEIC bomb", lambda: still((50_000, 50_000)).file(1), "photo_too_large")
    yield OddPicture("HEIC of two pictures in an item", lambda: of_pictures_in_an_item(2), "photo_too_costly")


def _colours() -> Iterator[OddPicture]:
    deep = scene().astype(np.uint16) * 257
    white_right = (CORNERS[0], (255, 255, 255), CORNERS[2], (255, 255, 255))
    grey_left = (luminance()[0], (255, 255, 255), luminance()[2], (255, 255, 255))
    palette_seen = ((255, 255, 255), *CORNERS[1:])
    wide = icc_profile(DISPLAY_P3, 2.2)
    zipped = b"wide\0\0" + zlib.compress(wide)
    yield OddPicture("16-bit RGB PNG", lambda: deep_png(deep), corners=CORNERS)
    yield OddPicture(
        "16-bit grey PNG", lambda: saved(Image.fromarray(grey_scene([v * 257 for v in GREYS], np.uint16)), "PNG"),
        corners=_same(GREYS),
    )  # fmt: skip
    yield OddPicture(
        "16-bit grey PGM", lambda: saved(Image.fromarray(grey_scene([v * 257 for v in (*GREYS[:3], 255)], np.uint16)),
                                         "PPM"), corners=_same((*GREYS[:3], 255)), tolerance=1,
    )  # fmt: skip
    yield OddPicture("float TIFF, 0 to 1", lambda: float_tiff([v / 255 for v in GREYS]), corners=_same(GREYS))
    yield OddPicture("HDR TIFF", lambda: float_tiff([0, 2, 4, 8]), corners=_same([0, 64, 128, 255]), tolerance=1)
    yield OddPicture(
        "float TIFF that holds no numbers", lambda: float_tiff([float("nan"), float("inf"), -1, 0.5]),
        corners=_same([0, 0, 0, 128]), tolerance=1,
    )  # fmt: skip
    # Adobe's files hold the inks inverted, which is what Pillow writes
    yield OddPicture(
        "CMYK JPEG, inverted as Adobe does", lambda: saved(scene_image("CMYK"), "JPEG", quality=95),
        corners=CORNERS, tolerance=10,
    )  # fmt: skip
    yield OddPicture("CMYK TIFF", lambda: saved(scene_image("CMYK"), "TIFF"), corners=CORNERS, tolerance=2)
    yield OddPicture("palette PNG", lambda: saved(scene_image().quantize(4), "PNG"), corners=CORNERS)
    yield OddPicture("palette PNG with transparency", see_through_palette, corners=palette_seen)
    yield OddPicture("grey PNG with alpha", lambda: see_through("L"), corners=grey_left, tolerance=1)
    yield OddPicture("RGB PNG with alpha", lambda: see_through("RGB"), corners=white_right)
    yield OddPicture(
        "1-bit PNG", lambda: saved(Image.fromarray(grey_scene([0, 255, 255, 0], np.uint8)).convert("1"), "PNG"),
        corners=_same([0, 255, 255, 0]),
    )  # fmt: skip
    yield OddPicture("grey JPEG", lambda: saved(scene_image("L"), "JPEG"), corners=luminance(), tolerance=4)
    yield OddPicture(
        "progressive JPEG", lambda: saved(scene_image(), "JPEG", quality=95, progressive=True), corners=CORNERS,
        tolerance=8,
    )  # fmt: skip
    yield OddPicture(
        "JPEG of a wide gamut", lambda: saved(scene_image(), "JPEG", quality=95, icc_profile=wide),
        corners=wide_as_srgb(), tolerance=12,
    )  # fmt: skip
    yield OddPicture(
        "PNG of a wide gamut", lambda: with_chunk(saved(scene_image(), "PNG"), b"iCCP", zipped),
        corners=wide_as_srgb(), tolerance=3,
    )  # fmt: skip
    yield OddPicture(
        "PNG with a damaged profile", lambda: with_chunk(saved(scene_image(), "PNG"), b"iCCP", b"wide\0\0garbage"),
        corners=CORNERS,
    )  # fmt: skip
    yield OddPicture(
        "JPEG with a damaged profile", lambda: saved(scene_image(), "JPEG", quality=95, icc_profile=b"garbage"),
        corners=CORNERS, tolerance=8,
    )  # fmt: skip
    yield OddPicture(
        "JPEG with a profile of 4 MB",
        lambda: saved(scene_image(), "JPEG", quality=95, icc_profile=icc_profile(SRGB, 2.2, 4_000_000)),
        corners=CORNERS, tolerance=12,
    )  # fmt: skip
    yield OddPicture("JPEG with 64 kB of EXIF data", huge_exif_jpeg, corners=CORNERS, tolerance=8)
    yield OddPicture(
        "PNG with 8 MB of EXIF data",
        lambda: with_chunk(saved(scene_image(), "PNG"), b"eXIf", b"MM\0*\0\0\0\x08" + bytes(8_000_000)),
        corners=CORNERS,
    )  # fmt: skip


def _shapes() -> Iterator[OddPicture]:
    for kind, tolerance in (("GIF", 0), ("WEBP", 0), ("PNG", 0)):
        yield OddPicture(
            f"animated {kind}", functools.partial(animated, kind), corners=CORNERS, tolerance=tolerance
        )  # fmt: skip
    for kind in ("JPEG", "PNG"):
        for size in ((1, 1), (1, 30_000), (30_000, 1)):
            make = functools.partial(lambda size, kind: saved(Image.new("RGB", size, "gray"), kind), size, kind)
            yield OddPicture(f"{kind} of {size[0]} x {size[1]} pixels", make, size=size)
    size = (30_000, 2_000)
    yield OddPicture(
        "JPEG 30,000 pixels wide", lambda: saved(Image.fromarray(scene(CORNERS, *size)), "JPEG", quality=80), size=size,
        corners=CORNERS, tolerance=12,
    )  # fmt: skip


def _without_pill() -> Iterator[OddPicture]:
    size = (240, 320)
    yield OddPicture("plain picture", lambda: saved(Image.new("RGB", size, (180, 175, 170)), "JPEG"), size=size)
    yield OddPicture("noise", lambda: saved(noise(*size), "PNG"), size=size)
    yield OddPicture("black picture", lambda: saved(Image.new("RGB", size), "JPEG"), size=size)


ODD_PICTURES = tuple(_odd_pictures())


@pytest.fixture(params=ODD_PICTURES, ids=lambda picture: picture.name)
def odd_picture(request: pytest.FixtureRequest) -> OddPicture:
    """Each of the odd pictures."""
    return request.param
