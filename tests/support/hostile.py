"""Zips written record by record, so that each may lie about itself, and what is put into them."""

import bz2
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BOMB = 450 * 2**20
"""Bytes that a bomb unpacks to, all of them zero."""
STORED, DEFLATED, BZIP2, LZMA = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA


@dataclass(frozen=True, kw_only=True)
class Record:
    """A file of a zip: what is stored, and what the directory says of it where that is not the truth.

    Attributes:
        name: bytes of its name; a flag says that they are UTF-8.
        data: its content, stored as it is unless `stored` is given.
        stored: packed bytes.
        size, packed, crc, offset: what the directory tells.
        mode: Unix mode, with the kind of file.
    """

    name: str
    data: bytes = b""
    stored: bytes | None = None
    method: int = STORED
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    offset: int | None = None
    flags: int = 0x800
    mode: int = 0

    @property
    def kept(self) -> bytes:
        return self.data if self.stored is None else self.stored

    def facts(self) -> tuple[int, int, int]:
        """CRC, packed size and size."""
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        packed = len(self.kept) if self.packed is None else self.packed
        return crc, packed, len(self.data) if self.size is None else self.size


def write_hostile(path: Path, records: Sequence[Record], *, counted: int | None = None) -> Path:
    """Write a zip of these records; its end tells of `counted` files, if given."""
    body, directory = bytearray(), bytearray()
    for record in records:
        name, offset = record.name.encode(), len(body) if record.offset is None else record.offset
        common = struct.pack("<HHHHH", 20, record.flags, record.method, 0, 33)
        crc, packed, size = record.facts()
        wide = struct.pack("<HHQQQ", 1, 24, size, packed, offset) if max(size, packed, offset) > 0xFFFF_FFFE else b""
        sizes = (0xFFFF_FFFF,) * 2 if wide else (packed, size)
        if record.offset is None:
            body += b"PK\3\4" + common + struct.pack("<III", crc, len(record.kept), len(record.data))
            body += struct.pack("<HH", len(name), 0) + name + record.kept
        directory += b"PK\1\2" + struct.pack("<H", 0x314) + common + struct.pack("<III", crc, *sizes)
        directory += struct.pack("<HHHHHI", len(name), len(wide), 0, 0, 0, record.mode << 16)
        directory += struct.pack("<I", 0xFFFF_FFFF if wide else offset) + name + wide
    count = min(len(records), 0xFFFF) if counted is None else counted
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(body + directory) + end)
    return path


def records_of(members: dict[str, bytes]) -> list[Record]:
    return [Record(name=name, data=data) for name, data in members.items()]


@cache
def bomb(method: int) -> bytes:
    """`BOMB` zeros, packed."""
    packer: Any = {
        DEFLATED: lambda: zlib.compressobj(9, zlib.DEFLATED, -15),
        BZIP2: lambda: bz2.BZ2Compressor(9),
        LZMA: zipfile.LZMACompressor,
    }[method]()
    chunk = bytes(2**20)
    return b"".join([packer.compress(chunk) for _ in range(BOMB // len(chunk))]) + packer.flush()
