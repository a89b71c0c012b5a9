"""Files that people and programs send where a photograph is asked for, made in code, with what must come of each.

`ODD_PICTURES` is the one list of them, and the fixture `odd_picture` gives them one by one: import it into a test
module and take it as an argument.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 60, 40
CORNERS = ((200, 30, 30), (30, 160, 60), (40, 60, 200), (220, 200, 40))
"""Colours of the scene's quarters: upper left, upper right, lower left, lower right."""
GREYS = (30, 90, 150, 220)
ORIENTATION = 0x0112

Colours = tuple[tuple[int, ...], ...]


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


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image in a format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def scene(colours: Colours = CORNERS, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Four quarters of one colour each: uint8 (height, width, 3)."""
    small = np.array(colours, np.uint8).reshape(2, 2, -1)
    return small.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


def grey_scene(values: Iterable[float], kind: type) -> np.ndarray:
    """The quarters in one channel: (HEIGHT, WIDTH) of the type `kind`."""
    return np.array(list(values), kind).reshape(2, 2).repeat(HEIGHT // 2, axis=0).repeat(WIDTH // 2, axis=1)


def scene_image(mode: str = "RGB") -> Image.Image:
    """The scene as Pillow's image."""
    return Image.fromarray(scene()).convert(mode)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG with its length and CRC."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png: bytes, kind: bytes, body: bytes, *, last: bool = False) -> bytes:
    """A PNG with one more chunk, behind the header or, `last`, behind the pixels."""
    place = len(png) - 12 if last else 33
    return png[:place] + png_chunk(kind, body) + png[place:]


def deep_png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel; pixels uint16 (H, W, 3)."""
    height, width = pixels.shape[:2]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def promising_png(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """A small PNG whose header promises so many pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def promising_jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame header promises so many pixels."""
    data = saved(scene_image(), "JPEG")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def turned(orientation: int, kind: str, **options: object) -> bytes:
    """The scene stored so that it is upright once it is turned as its EXIF orientation says."""
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = scene_image()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(image.transpose(stored) if stored is not None else image, kind, exif=exif, **options)


def animated(kind: str) -> bytes:
    """The scene, then a second picture that is black."""
    options = {"lossless": True} if kind == "WEBP" else {}
    second = Image.new("RGB", (WIDTH, HEIGHT))
    return saved(scene_image(), kind, save_all=True, append_images=[second], duration=100, **options)


def icc_profile(primaries: Iterable[tuple[float, float, float]], gamma: float, padding: int = 0) -> bytes:
    """A minimal ICC profile of an RGB screen.

    Args:
        primaries: X, Y, Z of red, green and blue for the white D50.
        gamma: of all three.
        padding: zero bytes at its end.
    """

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    name = b"wide gamut\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(79)}
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)
    for letter, primary in zip(b"rgb", primaries, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*primary)
        tags[bytes([letter]) + b"TRC"] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    table, body = b"", b""
    for tag, value in tags.items():
        value += bytes(-len(value) % 4)
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value
    body = struct.pack(">I", len(tags)) + table + body + bytes(padding)
    header = struct.pack(">I4sI4s4s4s12s4s", 128 + len(body), b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ",
                         bytes(12), b"acsp")  # fmt: skip
    return header + bytes(68 - len(header)) + fixed(0.9642, 1.0, 0.8249) + bytes(128 - 80) + body


DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""X, Y, Z of the primaries for the white D50."""


def wide_as_srgb() -> Colours:
    """What `CORNERS` with the primaries of Display P3 and a gamma of 2.2 are in sRGB."""
    linear = (np.array(CORNERS) / 255) ** 2.2 @ np.array(DISPLAY_P3) @ np.linalg.inv(SRGB)
    inside = np.clip(linear, 0, 1)
    curve = np.where(inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    return tuple(tuple(row) for row in (255 * curve).round().astype(int).tolist())


def luminance() -> Colours:
    """`CORNERS` in grey."""
    return tuple((round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in CORNERS)


def see_through(mode: str) -> bytes:
    """The scene in grey or colour, its right half fully transparent, as PNG."""
    image = scene_image(mode)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2 :] = 0
    image.putalpha(Image.fromarray(alpha))
    return saved(image, "PNG")


def see_through_palette() -> bytes:
    """A palette PNG of which one colour, the scene's upper left one, is transparent."""
    image = scene_image().quantize(4)
    return saved(image, "PNG", transparency=image.getpixel((0, 0)))


def float_tiff(values: Iterable[float]) -> bytes:
    return saved(Image.fromarray(grey_scene(values, np.float32)), "TIFF")


def huge_exif_jpeg() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    exif[0x010E] = "x" * 65_000
    return saved(scene_image(), "JPEG", quality=95, exif=exif)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def halved(kind: str) -> bytes:
    data = saved(noise(97, 128), kind)
    return data[: len(data) // 2]


def _same(values: Iterable[int]) -> Colours:
    return tuple((value,) * 3 for value in values)


def _odd_pictures() -> Iterator[OddPicture]:
    yield from _no_pictures()
    yield from _bombs()
    yield from _turned_pictures()
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


def _bombs() -> Iterator[OddPicture]:
    side = 50_000
    pgm = f"P5 {side} {side} 255\n".encode() + bytes(100)
    yield OddPicture("RGB PNG bomb", lambda: promising_png(side, side), "photo_too_large")
    yield OddPicture("1-bit PNG bomb", lambda: promising_png(side, side, depth=1, colour=0), "photo_too_large")
    yield OddPicture("JPEG bomb", lambda: promising_jpeg(side, side), "photo_too_large")
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
