"""Compressed streams that are mostly the descriptions of their codes, which a decoder reads one by one."""

import functools
import struct
import zlib

from tests.support.costly_bytes import riff


class Bits:
    """Bits written one after the other, the first into a byte's lowest (deflate, WebP) place."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def add(self, value: int, count: int) -> None:
        self._bits.append(format(value, f"0{count}b")[::-1] if count else "")

    def add_code(self, bits: str) -> None:
        self._bits.append(bits)

    def text(self) -> str:
        return "".join(self._bits)

    def data(self) -> bytes:
        text = self.text()
        text += "0" * (-len(text) % 8)
        return int(text[::-1], 2).to_bytes(len(text) // 8, "little") if text else b""


@functools.cache
def empty_blocks(raw: bytes, size: int) -> bytes:
    """A zlib stream of `raw`, before which stand deflate blocks with codes of their own and no data."""
    block = Bits()
    block.add(0, 1)  # not the last
    block.add(2, 2)  # codes of its own
    block.add(29, 5)  # 286 literals and lengths
    block.add(29, 5)  # 30 distances
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    used = {18: 1, 1: 2, 0: 2}
    block.add(18 - 4, 4)
    for symbol in order[:18]:
        block.add(used.get(symbol, 0), 3)
    many, one = "0", "11"  # codes, canonical: 18 -> 0; 0 -> 10; 1 -> 11

    def zeros(count: int) -> str:
        return many + format(count - 11, "07b")[::-1]

    block.add_code(one + zeros(138) + zeros(117) + one + zeros(29))  # 0 and 256 have a code of one bit
    block.add_code(one + zeros(29))
    block.add_code("1")  # 256: the end
    text = block.text()
    count = size * 8 // len(text) // 8 * 8
    body = int((text * 8)[::-1], 2).to_bytes(len(text), "little") * (count // 8)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    rest = packer.compress(raw) + packer.flush()
    return b"\x78\x01" + body + rest + struct.pack(">I", zlib.adler32(raw))


def grouped_webp(groups: int, side: int = 1024) -> bytes:
    """A lossless WebP of one colour with so many groups of Huffman codes, at most 65,536."""
    bits = Bits()
    bits.add(0x2F, 8)
    bits.add(side - 1, 14)
    bits.add(side - 1, 14)
    bits.add(0, 1 + 3)  # no alpha, version
    bits.add(0, 1)  # no transform
    bits.add(0, 1)  # no colour cache
    bits.add(1, 1)  # groups
    bits.add(0, 3)  # of 4 x 4 pixels
    # the picture of groups: red and green hold each block's number, which follow each other
    bits.add(0, 1)  # no colour cache

    def full(alphabet: int) -> None:
        bits.add(0, 1)  # a normal code
        order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        lengths = {8: 1, 0: 1} if alphabet > 256 else {8: 1, 7: 1}
        bits.add(12 - 4, 4)
        for symbol in order[:12]:
            bits.add(lengths.get(symbol, 0), 3)
        bits.add(0, 1)  # all symbols
        code = {symbol: str(place) for place, symbol in enumerate(sorted(lengths))}
        for symbol in range(alphabet):
            bits.add_code(code[8 if symbol < 256 else 0])

    def one(symbol: int = 0) -> None:
        bits.add(1, 1)
        bits.add(0, 1)
        bits.add(0, 1)
        bits.add(symbol, 1)

    full(256 + 24)
    full(256)
    one()
    one()
    one()
    for place in range((side // 4) ** 2):
        index = place % groups
        bits.add_code(format(index & 255, "08b"))
        bits.add_code(format(index >> 8, "08b"))
    for _ in range(groups):
        for _ in range(5):
            one()
    data = bits.data() + bytes(8)
    return riff((b"VP8L", data))
