"""Every accepted format with every cheap way found to make it slow, and the honest photograph it is compared with.

Each way comes twice: once with as much as the guard lets through, and once with more, which it must refuse.
"""

import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from tests.support.costly_bytes import (
    PIXELS,
    SIDE,
    arithmetic_jpeg,
    avif_of_a_long_length,
    avif_of_frames,
    changed_j2k,
    cut_gif,
    exif_of,
    extended_webp,
    gif_with,
    jp2_with_boxes,
    jpeg_segment,
    jpeg_with,
    long_entry,
    palette,
    photograph,
    png_of,
    progressive_jpeg,
    raw_size,
    repeated_jpeg,
    riff,
    riff_chunks,
    rle_bmp,
    short_entry,
    steps_profile,
    tiff_of,
    tiled_j2k,
    tiled_tiff,
)
from tests.support.costly_heic import (
    cropped,
    of_boxes,
    of_layers,
    of_nested,
    of_parameters,
    of_pictures,
    of_pictures_in_an_item,
    of_units,
    of_whole_tiles,
    said_smaller,
    with_exif,
    with_film,
    with_large_transparency,
    with_profiles,
)
from tests.support.costly_streams import empty_blocks, grouped_webp
from tests.support.heic_bytes import PHONE, heic, phone
from tests.support.picture_bytes import DISPLAY_P3, icc_profile, png_chunk, saved

PROFILE = icc_profile(DISPLAY_P3, 2.2)


@dataclass(frozen=True)
class Costly:
    """A file.

    Attributes:
        like: of `HONEST`, the photograph that it is compared with.
        name: what it has much of.
        make: makes its bytes.
        refused: a part of what the guard says of it; `None` where it must let it through.
    """

    like: str
    name: str
    make: Callable[[], bytes]
    refused: str | None = None


def _of(kind: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    return lambda: saved(photograph().convert(mode), kind, **options)


HONEST: dict[str, Callable[[], bytes]] = {
    "JPEG": _of("JPEG", quality=95, subsampling=0, progressive=True),
    "JPEG with profile": _of("JPEG", quality=95, icc_profile=PROFILE),
    "CMYK JPEG": _of("JPEG", "CMYK", quality=95),
    "MPO": lambda: saved(photograph(), "MPO", quality=95, save_all=True, append_images=[photograph()]),
    "RGB PNG": _of("PNG", icc_profile=PROFILE),
    "RGBA PNG": _of("PNG", "RGBA"),
    "palette PNG": lambda: saved(palette(), "PNG"),
    "WebP": _of("WEBP", quality=95),
    "lossless WebP": _of("WEBP", lossless=True),
    "AVIF": _of("AVIF", quality=90, speed=10),
    "HEIC": phone,
    "GIF": lambda: saved(palette(), "GIF"),
    "TIFF": _of("TIFF"),
    "deflated TIFF": _of("TIFF", compression="tiff_adobe_deflate"),
    "JPEG in TIFF": _of("TIFF", compression="jpeg", quality=95),
    "BMP": _of("BMP"),
    "PPM": _of("PPM"),
    "JPEG 2000": _of("JPEG2000", quality_mode="rates", quality_layers=[10]),
}
"""Photographs as cameras, phones and editors write them."""


def costly_pictures() -> Iterator[Costly]:
    """All of them, by format."""
    yield from _jpegs()
    yield from _pngs()
    yield from _webps_and_avifs()
    yield from _heics()
    yield from _tiffs()
    yield from _others()


def _pair(
    like: str, name: str, make: Callable[[int], bytes], let_through: int, refused: int, said: str
) -> Iterator[Costly]:
    yield Costly(like, f"{let_through:,} {name}", functools.partial(make, let_through))
    yield Costly(like, f"{refused:,} {name}", functools.partial(make, refused), said)


def _jpegs() -> Iterator[Costly]:
    yield from _pair("JPEG", "scans after the first", progressive_jpeg, 29, 2646, "30 scans")
    yield from _pair("JPEG", "scans of the same", repeated_jpeg, 30, 300, "30 scans")
    hidden = jpeg_segment(0xFE, b"\xff\xd9")
    yield Costly("JPEG", "scans behind false ends", lambda: progressive_jpeg(300, between=hidden), "30 scans")
    tables = jpeg_segment(0xFE, b"") * 500
    yield Costly("JPEG", "segments between scans", lambda: progressive_jpeg(9, between=tables), "1,000 segments")
    few = saved(Image.new("RGB", SIDE), "JPEG", restart_marker_blocks=1, subsampling=0)
    yield Costly("JPEG", "a restart marker for each block", lambda: few)
    yield Costly("JPEG", "arithmetic coding", arithmetic_jpeg, "arithmetic coding")
    yield from _pair(
        "JPEG", "comments", lambda count: jpeg_with(jpeg_segment(0xFE, b"") * count), 950, 100_000, "segments"
    )
    yield from _pair("JPEG", "fill bytes", lambda count: jpeg_with(b"\xff" * count), 16_000, 10**6, "between two")
    yield from _pair(
        "JPEG", "bytes of junk", lambda count: jpeg_with(jpeg_segment(0xFE, b"") + bytes(count)), 16_000, 10**6,
        "between two",
    )  # fmt: skip
    table = jpeg_segment(0xDB, b"\0" + b"\1" * 64)
    yield from _pair("JPEG", "quantisation tables", lambda count: jpeg_with(table * count), 950, 30_000, "segments")
    resources = b"8BIM\0\1\0\0\0\0\0\0"
    yield from _pair(
        "JPEG", "resources of Photoshop",
        lambda count: jpeg_with(jpeg_segment(0xED, b"Photoshop 3.0\0" + resources * 1_900) * count), 1, 60, "resources",
    )  # fmt: skip
    exif = jpeg_segment(0xE1, b"Exif\0\0" + exif_of(5_400))
    yield from _pair("JPEG", "segments of EXIF data", lambda count: jpeg_with(exif * count), 1, 60, "EXIF")
    yield Costly(
        "JPEG with profile", "matrices in its profile",
        lambda: saved(photograph(), "JPEG", quality=95, icc_profile=steps_profile(5_000)), "multi-process elements",
    )  # fmt: skip
    yield Costly(
        "MPO", "pictures behind the first",
        lambda: saved(photograph(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))] * 200),
    )  # fmt: skip


def _pngs() -> Iterator[Costly]:
    for like, colour in (("RGB PNG", 2), ("palette PNG", 3), ("RGBA PNG", 6)):

        def chunks(count: int, kind: bytes, body: bytes, colour: int = colour) -> bytes:
            return png_of(png_chunk(kind, body) * count, colour=colour)

        def cut(size: int, colour: int = colour) -> bytes:
            pixels = zlib.compress(bytes(raw_size(colour)), 0)
            pieces = (pixels[start : start + size] for start in range(0, len(pixels), size))
            return png_of(b"", b"".join(png_chunk(b"IDAT", piece) for piece in pieces), colour)

        empty = functools.partial(chunks, kind=b"abCd", body=b"")
        yield from _pair(like, "empty chunks", empty, 950, 80_000, "1,000 chunks")
        yield from _pair(like, "bytes in each chunk of pixels", cut, 1_024, 64, "chunks of pixels")
        text = functools.partial(chunks, kind=b"zTXt", body=b"a\0\0" + zlib.compress(bytes(1_000_000)))
        yield from _pair(like, "texts of a megabyte, deflated", text, 6, 60, "compressed texts")
        few = functools.partial(chunks, kind=b"zTXt", body=b"a\0\0" + zlib.compress(bytes(90_000)))
        yield from _pair(like, "texts of 90,000 bytes, deflated", few, 50, 600, "compressed texts")
        exif = functools.partial(chunks, kind=b"eXIf", body=exif_of(5_400))
        yield from _pair(like, "chunks of EXIF data", exif, 1, 20, "EXIF")
        profile = b"a\0\0" + zlib.compress(steps_profile(5_000))
        yield Costly(like, "matrices in its profile", lambda: chunks(1, b"iCCP", profile), "multi-process")  # noqa: B023
        more = functools.partial(empty_blocks, bytes(raw_size(colour)), 2 * raw_size(colour))
        yield Costly(
            like, "more bytes than pixels",
            lambda more=more, colour=colour: png_of(b"", png_chunk(b"IDAT", more()), colour), "bytes of pixels",
        )  # fmt: skip
    frames = png_chunk(b"fcTL", bytes(26)) + png_chunk(b"fdAT", bytes(5))
    yield from _pair("RGB PNG", "frames of an animation", lambda count: png_of(frames * count), 100, 9_000, "pixels")


def _webps_and_avifs() -> Iterator[Costly]:
    empty = (b"abcd", b"")
    yield from _pair("WebP", "chunks", lambda count: extended_webp(0, *[empty] * count), 9_900, 100_000, "chunks")
    exif = (b"EXIF", exif_of(5_400)), (b"EXIF", exif_of(65_000))
    yield Costly("WebP", "much EXIF data", lambda: extended_webp(8, exif[0], last=True))
    yield Costly("WebP", "too much EXIF data", lambda: extended_webp(8, exif[1], last=True), "EXIF")
    steps = b"ICCP", steps_profile(5_000)
    yield Costly("WebP", "matrices in its profile", lambda: extended_webp(32, steps), "multi-process")
    yield from _pair("lossless WebP", "frames", _animated_webp, 9_900, 50_000, "chunks")
    yield from _pair("AVIF", "frames in a still", avif_of_frames, 8, 12, "frames in a still")
    yield Costly("AVIF", "bytes of a unit's length", lambda: avif_of_a_long_length(1_000_000))
    yield Costly(
        "AVIF", "pictures of an animation",
        lambda: saved(photograph(), "AVIF", speed=10, save_all=True, append_images=[Image.new("RGB", SIDE)] * 30),
    )  # fmt: skip


def _heics() -> Iterator[Costly]:
    yield from _pair("HEIC", "pictures in an item", of_pictures_in_an_item, 1, 2, "several pictures")
    yield from _pair("HEIC", "units of information", of_units, 950, 100_000, "1,000 units")
    yield from _pair("HEIC", "further parameters", of_parameters, 13, 5_000, "parameter sets")
    yield Costly("HEIC", "a size that is said smaller", said_smaller, "pixels that are not shown")
    yield Costly("HEIC", "one pixel shown", cropped, "pixels that are not shown")
    yield Costly("HEIC", "transparency larger than the picture", with_large_transparency, "pixels that are not shown")
    yield from _pair("HEIC", "tiles of the whole size", of_whole_tiles, 2, 30, "pixels that are not shown")
    yield from _pair("HEIC", "layers", of_layers, 2, 50, "pixels that are not shown")
    yield from _pair("HEIC", "grids in each other", of_nested, 3, 9, "in each other")
    yield Costly("HEIC", "tiles of 64 pixels", lambda: heic(photograph(), **PHONE | {"tile_size": 64}))
    yield from _pair("HEIC", "pictures beside each other", of_pictures, 100, 500, "pictures in a file")
    described = functools.partial(of_pictures, 100)
    yield from _pair("HEIC", "bytes of metadata for each of 100", described, 10_000, 100_000, "bytes of metadata")
    yield from _pair("HEIC", "entries of EXIF data", with_exif, 5_400, 65_000, "EXIF")
    shared = functools.partial(with_profiles, pictures=100)
    yield from _pair("HEIC", "bytes of a profile for each of 100", shared, 160_000, 2_000_000, "bytes of properties")
    yield from _pair("HEIC", "boxes", of_boxes, 900, 100_000, "1,000 boxes")
    yield Costly("HEIC", "samples of a film", lambda: with_film(100_000))


def _animated_webp(frames: int) -> bytes:
    others = [Image.new("RGB", SIDE, (shade, 0, 0)) for shade in (1, 2)]
    data = saved(photograph(), "WEBP", lossless=True, save_all=True, append_images=others, duration=10)
    head, ends, first, second, *_ = riff_chunks(data)
    return riff(head, ends, first, *[second] * frames)


def _tiffs() -> Iterator[Costly]:
    pixels = photograph().tobytes()
    tags = [short_entry(number, 1) for number in range(1_000, 31_000)]
    yield from _pair("TIFF", "tags", lambda count: tiff_of(pixels, 1, *tags[:count]), 950, 30_000, "1,000 tags")
    yield from _pair("TIFF", "pixels a side of each tile", lambda side: tiled_tiff(side, side), 32, 2, "tiles")
    rows = range(8, 8 + len(pixels), 3 * SIDE[0])
    row = long_entry(273, *rows), long_entry(278, 1), long_entry(279, *[3 * SIDE[0]] * SIDE[1])
    yield Costly("TIFF", "a strip for each row", lambda: tiff_of(pixels, 1, *row))
    yield Costly(
        "TIFF", "pictures behind the first",
        lambda: saved(photograph(), "TIFF", save_all=True, append_images=[Image.new("RGB", (8, 8))] * 200),
    )  # fmt: skip
    steps = steps_profile(5_000)
    yield Costly("TIFF", "matrices in its profile", lambda: saved(photograph(), "TIFF", icc_profile=steps), "multi-")
    yield from _pair(
        "JPEG in TIFF", "scans", lambda count: tiff_of(progressive_jpeg(count), 7, photometric=6), 29, 90, "31 scans"
    )


def _others() -> Iterator[Costly]:
    comment = b"\1x"
    yield from _pair(
        "GIF", "blocks of a comment", lambda n: gif_with(b"!\xfe" + comment * n + b"\0"), 9_900, 10**6, "blocks"
    )
    yield from _pair("GIF", "comments", lambda count: gif_with(b"!\xfe\0" * count), 9_900, 300_000, "blocks")
    yield Costly("GIF", "blocks of one byte with pixels", lambda: cut_gif(1))
    yield Costly(
        "GIF", "pictures behind the first",
        lambda: saved(palette(), "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8))] * 50),
    )  # fmt: skip
    line = b"\xf4\1\0\0"
    yield Costly("BMP", "run lengths of a small picture", lambda: rle_bmp(2, b"\xfa\1\xfa\1\0\0" * 500, 500, 500))
    yield Costly("BMP", "run lengths", lambda: rle_bmp(1, line * SIDE[1]), "pixels in run lengths")
    yield Costly("BMP", "run lengths of one", lambda: rle_bmp(1, b"\1\1" * 250_000, 500, 500), "bytes of run lengths")
    yield from _pair("PPM", "pixels in text", _text_ppm, 20_000, PIXELS, "bytes of a picture in text")
    yield from _pair("PPM", "bytes in its header", _commented_ppm, 4_000, 10**6, "a header of")
    yield Costly("PPM", "comments", lambda: b"P2 40 40 255\n" + b"#\n" * 20_000 + b"0 " * 1_600, "comments")
    yield from _pair("JPEG 2000", "boxes", jp2_with_boxes, 900, 100_000, "boxes")
    yield Costly("JPEG 2000", "tiles of 64 pixels", tiled_j2k)
    yield Costly("JPEG 2000", "tiles of 8 pixels", lambda: changed_j2k(b"\0\0\0\x08" * 2, b"\xff\x51", 22), "packets")
    layers = b"\xff\xff"
    yield Costly("JPEG 2000", "layers", lambda: changed_j2k(layers, b"\xff\x52", 6), "packets")
    yield Costly("JPEG 2000", "small precincts", lambda: changed_j2k(b"\1", b"\xff\x52", 4), "packets")


def _text_ppm(pixels: int) -> bytes:
    return b"P2 200 %d 255\n" % (pixels // 200) + b"99 " * pixels


def _commented_ppm(length: int) -> bytes:
    return b"P6 #" + b"x" * length + b"\n%d %d 255\n" % SIDE + photograph().tobytes()


UNCOUNTED = (
    ("empty deflate blocks in a PNG", lambda: png_of(b"", png_chunk(b"IDAT", empty_blocks(bytes(raw_size(2)), 10**6)))),
    ("empty deflate blocks in a TIFF", lambda: tiff_of(empty_blocks(bytes(3 * PIXELS), 10**6), 8)),
    ("groups of codes in a lossless WebP", lambda: grouped_webp(65_536)),
)
"""What no walk over a file's bytes counts, since only a decoder finds it: their cost is bounded by bytes, or at all."""
