"""Ways to make a HEIC slow, each by itself."""

import struct

from PIL import Image

from tests.support.costly_bytes import SIDE, exif_of
from tests.support.heic_bytes import Written, box, grid, heic, still

_INFORMATION = 39 << 1
"""First byte of a unit of supplemental information."""


def of_pictures_in_an_item(count: int) -> bytes:
    """The photograph told so many times in its one item."""
    written = still()
    kind, coded, owned = written.items[0]
    written.items[0] = kind, coded * count, owned
    return written.file(1)


def of_units(count: int) -> bytes:
    """So many units of information before the photograph's."""
    written = still()
    kind, coded, owned = written.items[0]
    written.items[0] = kind, struct.pack(">IBBB", 3, _INFORMATION, 1, 0x80) * count + coded, owned
    return written.file(1)


def of_parameters(count: int) -> bytes:
    """So many sets of parameters before the photograph's."""
    written = still()
    record = written.parameters[8:]
    sets = record[:22] + bytes([record[22] + 1]) + record[23:] + struct.pack(">BH", _INFORMATION >> 1, count)
    written.properties[0] = box(b"hvcC", sets + struct.pack(">HBBB", 3, _INFORMATION, 1, 0x80) * count)
    return written.file(1)


def said_smaller() -> bytes:
    """The photograph, which is said to have a hundredth of its pixels."""
    return still(size=(SIDE[0] // 10, SIDE[1] // 10)).file(1)


def cropped() -> bytes:
    """One pixel of the photograph."""
    written = still()
    kind, coded, owned = written.items[0]
    crop = written.property(box(b"clap", struct.pack(">8I", 1, 1, 1, 1, 0, 1, 0, 1)))
    written.items[0] = kind, coded, [*owned, crop]
    return written.file(1)


def with_large_transparency() -> bytes:
    """A small picture whose transparency has the photograph's pixels."""
    small = still(size=(100, 75))
    alpha = small.property(box(b"auxC", bytes(4) + b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"))
    kind, coded, owned = small.items[0]
    small.items[0] = kind, coded, [*owned, alpha]
    first = Written(heic(Image.new("RGB", (96, 72))))
    shown = small.item(b"hvc1", first.coded, small.property(first.parameters), small.size(96, 72))
    small.references.append((b"auxl", 1, [shown]))
    return small.file(shown)


def of_whole_tiles(count: int) -> bytes:
    """A grid as large as the photograph, which is each of its tiles."""
    written = still()
    shown = written.item(b"grid", grid(count, 1, *SIDE), written.size(*SIDE))
    written.references.append((b"dimg", shown, [1] * count))
    return written.file(shown)


def of_layers(count: int) -> bytes:
    """So many layers of the photograph, one upon the other."""
    written = still()
    layers = struct.pack(">BB4HHH", 0, 0, 0, 0, 0, 0, *SIDE) + bytes(4 * count)
    shown = written.item(b"iovl", layers, written.size(*SIDE))
    written.references.append((b"dimg", shown, [1] * count))
    return written.file(shown)


def of_nested(depth: int) -> bytes:
    """The photograph within grids of one tile."""
    written = still()
    for _ in range(depth):
        shown = written.item(b"grid", grid(1, 1, *SIDE), written.size(*SIDE))
        written.references.append((b"dimg", shown, [len(written.items) - 1]))
    return written.file(len(written.items))


def of_pictures(count: int, metadata: int = 0) -> bytes:
    """So many pictures, and metadata of so many bytes that describe each of them."""
    written = still()
    kind, coded, owned = written.items[0]
    for _ in range(count - 1):
        written.item(kind, coded[:10], *owned)
    if metadata:
        about = written.item(b"mime\0text/plain", bytes(metadata))
        written.references.append((b"cdsc", about, list(range(1, count + 1))))
    return written.file(1)


def with_exif(entries: int) -> bytes:
    """The photograph with EXIF data of so many entries."""
    written = still()
    about = written.item(b"Exif", bytes(4) + exif_of(entries))
    written.references.append((b"cdsc", about, [1]))
    return written.file(1)


def of_boxes(count: int) -> bytes:
    """The photograph with so many empty boxes beside its items."""
    return still().file(1, more=box(b"free", b"") * count)


def with_profiles(length: int, pictures: int) -> bytes:
    """A profile of so many bytes that some pictures share."""
    written = still()
    kind, coded, owned = written.items[0]
    owned = [*owned, written.property(box(b"colr", b"prof" + bytes(length)))]
    written.items[0] = kind, coded, owned
    for _ in range(pictures - 1):
        written.item(kind, coded[:10], *owned)
    return written.file(1)


def with_film(samples: int) -> bytes:
    """The photograph, and the times of so many samples of a film."""
    times = box(b"stts", struct.pack(">II", 0, samples) + struct.pack(">II", 1, 1) * samples)
    film = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", times)))))
    return still().file(1) + film
