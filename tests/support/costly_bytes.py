"""Makers of files that keep decoders busy, and a photograph to compare them with."""

import functools
import itertools
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from tests.support.picture_bytes import DISPLAY_P3, icc_profile, png_chunk, saved

SIDE = 1000, 750
"""Width and height of all pictures here."""
PIXELS = SIDE[0] * SIDE[1]


@functools.cache
def photograph() -> Image.Image:
    """A picture as even and as grainy as a photograph: shapes of several sizes, and grain."""
    rng = np.random.default_rng(7)
    layers = [
        cv2.resize(rng.normal(0, 1, (SIDE[1] // step + 2, SIDE[0] // step + 2, 3)), SIDE, interpolation=cv2.INTER_CUBIC)
        for step in (200, 60, 20, 6)
    ]
    grain = rng.normal(0, 3, (SIDE[1], SIDE[0], 3))
    values = 128 + sum(layer * size for layer, size in zip(layers, (40, 20, 8, 4), strict=True)) + grain
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


@functools.cache
def palette() -> Image.Image:
    """The photograph in 256 colours."""
    return photograph().quantize(256, Image.Quantize.FASTOCTREE)


# JPEG


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def _jpeg_bits(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


ONE_CODE = b"\1" + bytes(15)


def _jpeg_head(frame: int, width: int, height: int) -> bytes:
    head = b"\xff\xd8" + jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + jpeg_segment(0xDB, b"\0" + b"\1" * 64)
    return head + jpeg_segment(frame, struct.pack(">BHHB", 8, height, width, 3) + b"\1\x11\0\2\x11\0\3\x11\0")


def _scan(components: tuple[int, ...], first: int, last: int, bits: int) -> bytes:
    body = bytes([len(components)]) + b"".join(bytes([each, 0]) for each in components)
    return jpeg_segment(0xDA, body + bytes([first, last, bits]))


def progressive_jpeg(scans: int, width: int = SIDE[0], height: int = SIDE[1], between: bytes = b"") -> bytes:
    """A valid progressive JPEG of so many nearly empty scans after the first, at most 2646."""
    blocks = -(-width // 8) * -(-height // 8)
    data = _jpeg_head(0xC2, width, height)
    data += jpeg_segment(0xC4, b"\0" + ONE_CODE + b"\0") + jpeg_segment(0xC4, b"\x10" + ONE_CODE + b"\xe0")
    data += _scan((1, 2, 3), 0, 0, 0) + _jpeg_bits("0" * blocks * 3)
    runs, rest = divmod(blocks, 32767)
    bits = ("0" + "1" * 14) * runs
    while rest >= 1 << 14:
        bits, rest = bits + "0" + "0" * 14, rest - (1 << 14)
    empty = _jpeg_bits(bits + ("0" + "1" * 14 if rest else ""))
    places = itertools.product((1, 2, 3), range(1, 64), range(13, -1, -1))
    for component, place, low in itertools.islice(places, scans):
        data += between + _scan((component,), place, place, (0 if low == 13 else (low + 1) << 4) | low) + empty
    return data + b"\xff\xd9"


def repeated_jpeg(scans: int, width: int = SIDE[0], height: int = SIDE[1]) -> bytes:
    """A sequential JPEG that tells each component again and again, with nearly no bits."""
    blocks = -(-width // 8) * -(-height // 8)
    data = _jpeg_head(0xC0, width, height)
    data += jpeg_segment(0xC4, b"\0" + ONE_CODE + b"\0") + jpeg_segment(0xC4, b"\x10" + ONE_CODE + b"\0")
    body = _jpeg_bits("00" * blocks)
    return data + b"".join(_scan((1 + i % 3,), 0, 63, 0) + body for i in range(scans)) + b"\xff\xd9"


def arithmetic_jpeg() -> bytes:
    """The head of an arithmetic-coded JPEG, and some bits."""
    return _jpeg_head(0xC9, *SIDE) + _scan((1, 2, 3), 0, 63, 0) + bytes(1000) + b"\xff\xd9"


def jpeg_with(more: bytes, **options: object) -> bytes:
    """An honest JPEG with more bytes behind its first two."""
    data = saved(photograph(), "JPEG", quality=90, **options)
    return data[:2] + more + data[2:]


# PNG


def png_of(chunks: bytes, idat: bytes | None = None, colour: int = 2, interlace: int = 0) -> bytes:
    """An RGB (2), RGBA (6) or palette (3) PNG with chunks before its pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *SIDE, 8, colour, 0, 0, interlace))
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    body = png_chunk(b"IDAT", zlib.compress(bytes(raw_size(colour)), 1)) if idat is None else idat
    return b"\x89PNG\r\n\x1a\n" + header + chunks + palette + body + png_chunk(b"IEND", b"")


def raw_size(colour: int) -> int:
    return SIDE[1] * (1 + SIDE[0] * {2: 3, 3: 1, 6: 4}[colour])


# WebP


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def riff_chunks(webp: bytes) -> list[tuple[bytes, bytes]]:
    place, found = 12, []
    while place + 8 <= len(webp):
        name, size = struct.unpack_from("<4sI", webp, place)
        found.append((name, webp[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found


def extended_webp(flags: int, *more: tuple[bytes, bytes], last: bool = False) -> bytes:
    """An honest photograph as extended WebP, with more chunks before or behind its pixels."""
    (pixels,) = [each for each in riff_chunks(saved(photograph(), "WEBP", quality=90)) if each[0] == b"VP8 "]
    size = struct.pack("<I", SIDE[0] - 1)[:3] + struct.pack("<I", SIDE[1] - 1)[:3]
    head = (b"VP8X", struct.pack("<I", flags) + size)
    return riff(head, pixels, *more) if last else riff(head, *more, pixels)


# GIF


def gif_with(blocks: bytes) -> bytes:
    """An honest GIF with more blocks before its picture."""
    data = saved(palette(), "GIF")
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    return data[:place] + blocks + data[place:]


def cut_gif(size: int) -> bytes:
    """An honest GIF whose data comes in sub-blocks of so many bytes."""
    data = saved(palette(), "GIF")
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    while data[place] == 0x21:
        place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    place += 10 + (3 << (data[place + 9] & 7) + 1 if data[place + 9] & 128 else 0) + 1
    body, head = b"", data[:place]
    while data[place]:
        body += data[place + 1 : place + 1 + data[place]]
        place += 1 + data[place]
    pieces = (body[i : i + size] for i in range(0, len(body), size))
    return head + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0;"


# TIFF


def tiff(entries: list[tuple[int, int, int, bytes]], body: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory; values of more than 4 bytes are stored behind `body`, at byte 8."""
    table, tail = b"", b""
    start = 8 + len(body) + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        if len(value) > 4:
            place = struct.pack("<I", start + len(tail))
            tail += value + b"\0" * (len(value) % 2)
            value = place
        table += struct.pack("<HHI4s", tag, kind, count, value.ljust(4, b"\0"))
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    return head + body + struct.pack("<H", len(entries)) + table + bytes(4) + tail


def short_entry(tag: int, *values: int) -> tuple[int, int, int, bytes]:
    return tag, 3, len(values), struct.pack(f"<{len(values)}H", *values)


def long_entry(tag: int, *values: int) -> tuple[int, int, int, bytes]:
    return tag, 4, len(values), struct.pack(f"<{len(values)}I", *values)


def tiff_of(body: bytes, compression: int, *more: tuple[int, int, int, bytes], photometric: int = 2) -> bytes:
    """An RGB TIFF of one strip, unless `more` says otherwise."""
    own = {
        256: long_entry(256, SIDE[0]),
        257: long_entry(257, SIDE[1]),
        258: short_entry(258, 8, 8, 8),
        259: short_entry(259, compression),
        262: short_entry(262, photometric),
        273: long_entry(273, 8),
        277: short_entry(277, 3),
        278: long_entry(278, SIDE[1]),
        279: long_entry(279, len(body)),
    } | {each[0]: each for each in more}
    return tiff([each for each in own.values() if each[2]], body)


def tiled_tiff(width: int, height: int) -> bytes:
    """An uncompressed TIFF whose tiles of this size all lie at one place."""
    count = -(-SIDE[0] // width) * -(-SIDE[1] // height)
    none = (0, 4, 0, b"")
    return tiff_of(
        bytes(width * height * 3), 1, (273, *none[1:]), (278, *none[1:]), (279, *none[1:]), long_entry(322, width),
        long_entry(323, height), long_entry(324, *[8] * count), long_entry(325, *[width * height * 3] * count),
    )  # fmt: skip


# BMP


def rle_bmp(kind: int, codes: bytes, width: int = SIDE[0], height: int = SIDE[1]) -> bytes:
    """A BMP of run lengths: `kind` 1 with a byte for a pixel, 2 with half of one."""
    palette = bytes(4 * (256 if kind == 1 else 16))
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 if kind == 1 else 4, kind, len(codes), 0, 0, 0, 0)
    place = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", place + len(codes), 0, 0, place) + head + palette + codes


# JPEG 2000


def jp2_with_boxes(count: int) -> bytes:
    """An honest JP2 with empty boxes behind its first."""
    data = saved(photograph(), "JPEG2000", quality_mode="rates", quality_layers=[10])
    return data[:12] + b"\0\0\0\x08free" * count + data[12:]


def changed_j2k(change: bytes, marker: bytes, place: int) -> bytes:
    """An honest codestream with other bytes behind a marker."""
    data = saved(photograph(), "JPEG2000", no_jp2=True, quality_mode="rates", quality_layers=[10])
    start = data.index(marker) + place
    return data[:start] + change + data[start + len(change) :]


def tiled_j2k() -> bytes:
    """An honest JPEG 2000 in tiles of 64 pixels a side."""
    return saved(photograph(), "JPEG2000", tile_size=(64, 64), num_resolutions=3, quality_mode="rates",
                 quality_layers=[10])  # fmt: skip


# AVIF


def avif_of_frames(count: int) -> bytes:
    """A still AVIF whose picture is told so many times."""
    return _avif_of(lambda pixels: pixels * count)


def avif_of_a_long_length(count: int) -> bytes:
    """A still AVIF whose first unit's length is written with so many bytes."""
    return _avif_of(lambda pixels: b"\x12" + b"\xff" * count)


def _avif_of(change: Callable[[bytes], bytes]) -> bytes:
    data = saved(photograph(), "AVIF", quality=60, speed=10)
    start = data.index(b"mdat") + 4
    pixels = data[start:]
    changed = change(pixels)
    head = data[: start - 8] + struct.pack(">I", 8 + len(changed)) + b"mdat"
    return head.replace(struct.pack(">I", len(pixels)), struct.pack(">I", len(changed))) + changed


# EXIF data and ICC profiles


def exif_of(entries: int) -> bytes:
    """EXIF data of so many entries, without the name before it."""
    table = b"".join(struct.pack(">HHI4s", tag, 3, 1, b"\0\1\0\0") for tag in range(entries))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", entries) + table + bytes(4)


def steps_profile(steps: int) -> bytes:
    """The profile of Display P3, with a list of so many matrices that all are one."""
    profile = icc_profile(DISPLAY_P3, 2.2)
    matrix = b"matf" + struct.pack(">IHH", 0, 3, 3) + struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    place = 16 + 8 * steps
    body = b"mpet" + struct.pack(">IHHI", 0, 3, 3, steps) + struct.pack(">II", place, len(matrix)) * steps + matrix
    (tags,) = struct.unpack_from(">I", profile, 128)
    table = bytearray(profile[132 : 132 + 12 * tags])
    for entry in range(tags):
        (old,) = struct.unpack_from(">I", table, 12 * entry + 4)
        struct.pack_into(">I", table, 12 * entry + 4, old + 12)
    rest = profile[132 + 12 * tags :]
    own = struct.pack(">4sII", b"D2B0", 132 + 12 * (tags + 1) + len(rest), len(body))
    whole = profile[4:128] + struct.pack(">I", tags + 1) + bytes(table) + own + rest + body
    return struct.pack(">I", len(whole) + 4) + whole
