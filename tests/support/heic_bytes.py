"""HEIC files as phones write them, and as they should not."""

import functools
import io
import struct

import numpy as np
import pillow_heif
from PIL import Image

from tests.support.costly_bytes import SIDE, photograph
from tests.support.picture_bytes import ORIENTATION, saved, scene_image, see_through, turned

pillow_heif.register_heif_opener()  # so that Pillow writes them; nothing here reads one by it
FAST = {"preset": "ultrafast"}
PHONE = {"quality": 90, "tile_size": 512, "subsampling": "4:2:0"}
"""As iPhones do: tiles of 512 pixels."""

EXIF_OF_3 = Image.Exif()
"""Given as an object, pillow-heif writes no property of it."""
EXIF_OF_3[ORIENTATION] = 3


def heic(image: Image.Image, **options: object) -> bytes:
    """A HEIC, encoded in little time."""
    return saved(image, "HEIF", enc_params=dict(FAST), **{"quality": 95, "subsampling": "4:4:4"} | options)


@functools.cache
def phone() -> bytes:
    """The photograph as a phone writes it."""
    return heic(photograph(), **PHONE)


def small(**options: object) -> bytes:
    """The scene of four quarters."""
    return heic(scene_image(), **options)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def turned_heic(orientation: int) -> bytes:
    """The scene stored so that it is upright once it is turned, which its properties and its EXIF data say."""
    image = Image.open(io.BytesIO(turned(orientation, "PNG")))
    image.load()
    exif = image.getexif().tobytes()
    return heic(Image.fromarray(np.asarray(image)), exif=exif)


def deep_heic() -> bytes:
    """The scene in 10 bits a channel."""
    wide = scene_image().tobytes()
    data = b"".join(struct.pack("<H", value * 257) for value in wide)
    stream = io.BytesIO()
    pillow_heif.encode("RGB;16", scene_image().size, data, stream, quality=95, chroma=444)
    return stream.getvalue()


def see_through_heic() -> bytes:
    """The scene, its right half fully transparent."""
    return heic(Image.open(io.BytesIO(see_through("RGB"))))


def of_several(primary: int) -> bytes:
    """Three pictures, of which the scene is the one that counts."""
    others = [Image.new("RGB", (80, 80)) for _ in range(2)]
    first, *more = [*others[:primary], scene_image(), *others[primary:]]
    return heic(first, save_all=True, append_images=more, primary_index=primary)


def of_brand(brand: bytes) -> bytes:
    """The scene in a file that names another brand first."""
    data = small()
    return data[:8] + brand + data[12:]


class Written:
    """A HEIC that is put together: items with their bytes, properties and references."""

    def __init__(self, picture: bytes) -> None:
        """Take the one picture of a file: its parameters and its coded bytes."""
        start = picture.index(b"hvcC") - 4
        (length,) = struct.unpack_from(">I", picture, start)
        self.parameters = picture[start : start + length]
        self.coded = picture[picture.index(b"mdat") + 4 :]
        self.items: list[tuple[bytes, bytes, list[int]]] = []
        self.properties = [self.parameters]
        self.references: list[tuple[bytes, int, list[int]]] = []

    def property(self, content: bytes) -> int:
        """The number of a further property."""
        self.properties.append(content)
        return len(self.properties)

    def size(self, width: int, height: int) -> int:
        """The number of a property that says a picture's size."""
        return self.property(box(b"ispe", struct.pack(">III", 0, width, height)))

    def item(self, kind: bytes, content: bytes, *properties: int) -> int:
        """The number of a further item."""
        self.items.append((kind, content, list(properties)))
        return len(self.items)

    def file(self, primary: int, more: bytes = b"") -> bytes:
        """The file's bytes."""
        head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
        names = [
            box(b"infe", struct.pack(">IHH4s", 2 << 24, number, 0, kind[:4]) + kind[4:] + b"\0")
            for number, (kind, _, _) in enumerate(self.items, 1)
        ]
        owned = [
            struct.pack(">HB", number, len(each)) + b"".join(struct.pack(">H", one) for one in each)
            for number, (_, _, each) in enumerate(self.items, 1)
        ]
        refers = [
            box(kind, struct.pack(f">HH{len(others)}H", item, len(others), *others))
            for kind, item, others in self.references
        ]

        def meta(start: int) -> bytes:
            places = b""
            for number, (_, content, _) in enumerate(self.items, 1):
                places += struct.pack(">HHHII", number, 0, 1, start, len(content))
                start += len(content)
            inside = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", struct.pack(">IH", 0, primary))
            inside += box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(self.items)) + places)
            inside += box(b"iinf", struct.pack(">IH", 0, len(self.items)) + b"".join(names))
            ipma = box(b"ipma", struct.pack(">II", 1, len(owned)) + b"".join(owned))
            inside += box(b"iprp", box(b"ipco", b"".join(self.properties)) + ipma)
            inside += box(b"iref", bytes(4) + b"".join(refers)) if refers else b""
            return box(b"meta", bytes(4) + inside + more)

        start = len(head) + len(meta(0)) + 8
        return head + meta(start) + box(b"mdat", b"".join(content for _, content, _ in self.items))


def still(size: tuple[int, int] = SIDE) -> Written:
    """The photograph in one piece, as the first item, which is said to have a size."""
    written = Written(_photograph())
    written.item(b"hvc1", written.coded, 1, written.size(*size))
    return written


@functools.cache
def _photograph() -> bytes:
    return heic(photograph(), quality=90, subsampling="4:2:0")


def grid(columns: int, rows: int, width: int, height: int) -> bytes:
    """Content of an item that is a grid of others."""
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
