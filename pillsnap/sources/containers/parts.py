"""Files that were downloaded in parts, read in place as the one file that they are."""

import bisect
import io
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pillsnap.sources.containers.s3 import S3File, S3Path, Span

PART = re.compile(r"(?P<name>.+)\.part(?P<number>\d+)")
"""Name of a part: the whole file's, and a number or the byte at which the part begins."""


class PartsError(OSError):
    """A part that is missing."""


class LocalFile:
    """A file of this machine's disks, read at any place by any thread; `S3File` is its like in S3."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def will_read(self, spans: Sequence[Span]) -> None:
        """Do nothing: the kernel reads ahead."""

    def close(self) -> None:
        self._file.close()


class WholeFile(io.RawIOBase):
    """The parts of a file behind each other, or one file as it is: seekable, and read at any place by any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, or the file that the part `path` belongs to; raises `PartsError`, `OSError`."""
        self._files = [S3File(part) if isinstance(part, S3Path) else LocalFile(part) for part in parts_of(path)]
        self._starts = [0, *itertools.accumulate(file.size for file in self._files)]
        self._position = 0

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset` on."""
        pieces = []
        place = max(0, bisect.bisect_right(self._starts, offset) - 1)
        while size > 0 and place < len(self._files):
            piece = self._files[place].pread(size, offset - self._starts[place])
            pieces.append(piece)
            size, offset = size - len(piece), offset + len(piece)
            place += 1
            if offset < self._starts[place]:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def will_read(self, spans: Sequence[Span]) -> None:
        """Tell which bytes will be read next, in this order: those that lie in S3 are fetched ahead."""
        for file, (first, last) in zip(self._files, itertools.pairwise(self._starts), strict=True):
            inside = [(max(start, first), min(end, last)) for start, end in spans if start < last and end > first]
            file.will_read([(start - first, end - first) for start, end in inside])

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.pread(len(buffer), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise OSError(22, "negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def parts_of(path: Path) -> list[Path]:
    """Return the parts of a file in the order of their numbers; of a file that is no part, itself.

    Raises:
        PartsError: a number is missing: they count from 0 or 1, or tell the byte at which each part begins.
    """
    match = PART.fullmatch(path.name)
    if not match:
        return [path]
    numbered = {
        int(other["number"]): file
        for file in path.parent.iterdir()
        if (other := PART.fullmatch(file.name)) and other["name"] == match["name"]
    }
    numbers = sorted(numbered)
    parts = [numbered[number] for number in numbers]
    starts = [0, *itertools.accumulate(part.stat().st_size for part in parts)]
    counted = numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))
    if not counted and numbers != starts[:-1]:
        wrong = next(n for n, start in zip(numbers, starts, strict=False) if n != start)
        raise PartsError(
            f"{numbered[wrong]}: the part before it is missing or not whole. Fetch all parts of {match['name']} into "
            "one folder; they need not be joined."
        )
    return parts
