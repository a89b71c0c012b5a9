"""Bytes of picture files made in code, as programs and cameras write them, and as they should not."""

import io
import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40
CORNERS = ((200, 30, 30), (30, 160, 60), (40, 60, 200), (220, 200, 40))
"""Colours of the scene's quarters: upper left, upper right, lower left, lower right."""
GREYS = (30, 90, 150, 220)
ORIENTATION = 0x0112

_FLIPS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores the upright picture, by EXIF orientation."""

Colours = tuple[tuple[int, ...], ...]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image in a format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def before_turn(picture: Image.Image, orientation: int) -> Image.Image:
    """The upright picture as it is stored with that EXIF orientation."""
    return picture.transpose(_FLIPS[orientation]) if orientation in _FLIPS else picture


def stored(picture: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """A file of the upright picture, stored as the EXIF orientation says."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(before_turn(picture, orientation), kind, exif=exif, quality=95)


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


def raw_tiff(tags: Mapping[int, int]) -> bytes:
    """The scene in a TIFF, as a camera's raw photograph holds its preview, with more tags or others."""
    pixels = scene().tobytes()
    depths = 8 + len(pixels)
    facts = {256: WIDTH, 257: HEIGHT, 258: depths, 259: 1, 262: 2, 273: 8, 277: 3, 278: HEIGHT, 279: len(pixels)}
    entries = [struct.pack("<HHII", tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, value)
               for tag, value in sorted((facts | dict(tags)).items())]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", depths + 6) + pixels + struct.pack("<3H", 8, 8, 8) + directory


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
