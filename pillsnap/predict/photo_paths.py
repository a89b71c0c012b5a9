"""Which photographs are meant by the words of a command: files, folders, globs and standard input."""

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pillsnap.pictures.decode import PictureError

PHOTO_ENDINGS = (
    ".apng", ".avif", ".avifs", ".bmp", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings, in any case, that a file in a folder or of a glob must have: those of the formats that are opened."""

MAX_BYTES = 256 * 2**20
"""Largest file that is read, 150 times an AIHub photograph; what has no end, such as a device, stops here."""

STDIN = "-"


@dataclass(frozen=True)
class Problem:
    """Why a photograph was not answered.

    Attributes:
        reason: one word, of `pillsnap.tables.quarantine_reasons.CORRUPT`, `photo_missing` or `file_too_large`.
        message: what is wrong and the cure.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Photo:
    """One photograph that is asked for.

    Attributes:
        name: as it was given, or as it was found below a folder or glob; `-` is standard input.
        problem: what was named in place of it and gives none.
    """

    name: str
    problem: Problem | None = None

    @property
    def place(self) -> str:
        """The absolute path without `..`; `-` for standard input."""
        return self.name if self.name == STDIN else os.path.abspath(self.name)  # noqa: PTH100 (pathlib keeps `..`)

    @property
    def shown(self) -> str:
        """The name as text that any output can hold: bytes that are no UTF-8 are replaced."""
        return os.fsencode(self.name).decode("utf-8", "replace")

    @property
    def may_block(self) -> bool:
        """Whether reading may wait for another program: standard input, a pipe, a device."""
        return self.name == STDIN or (_is(self.name, Path.exists) and not _is(self.name, Path.is_file))


def find_photos(words: Iterable[str]) -> list[Photo]:
    """The photographs in the order of the words, each once; those of a folder or glob sorted.

    A folder gives all pictures below it by their endings, a glob (`*`, `?`, `[...]`, `**`) those that it matches; both
    leave out hidden files and folders. A file's own name may have any ending, and wins where it looks like a glob.
    """
    found: dict[str, Photo] = {}
    for photo in (photo for word in words for photo in _photos(word)):
        found.setdefault(photo.place, photo)
    return list(found.values())


def names_one(words: list[str]) -> bool:
    """Whether the words can mean one photograph only: a file or standard input, no folder and no glob."""
    return len(words) == 1 and not _is(words[0], Path.is_dir) and not _is_glob(words[0])


def read_photo(photo: Photo) -> bytes:
    """A photograph's bytes.

    Raises:
        PictureError: `photo_missing` where it cannot be read, `file_too_large`.
    """
    try:
        if photo.name == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(photo.name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("photo_missing", error.strerror or str(error)) from error
    if len(data) > MAX_BYTES:
        raise PictureError("file_too_large", f"more than {MAX_BYTES // 2**20} MiB")
    return data


def _photos(word: str) -> Iterator[Photo]:
    if _is(word, Path.is_dir):
        yield from _below(word)
    elif _is_glob(word):
        # pathlib's globs take no absolute pattern
        matches = sorted(path for path in glob.glob(word, recursive=True) if _is_picture(path))  # noqa: PTH207
        yield from map(Photo, matches)
        if not matches:
            yield Photo(word, Problem("photo_missing", "no picture matches. Check the pattern and its quotes."))
    else:
        yield Photo(word)


def _below(folder: str) -> Iterator[Photo]:
    found, closed = [], []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if _is_picture(path)]
    yield from (Photo(str(path)) for path in sorted(found))
    for error in closed:
        yield Photo(error.filename, Problem("photo_missing", f"{error.strerror}. Check who may open the folder."))
    if not found and not closed:
        yield Photo(folder, Problem("photo_missing", "no picture lies below this folder. Check the path."))


def _is_picture(path: str | Path) -> bool:
    return Path(path).suffix.lower() in PHOTO_ENDINGS and _is(path, Path.is_file)


def _is_glob(word: str) -> bool:
    return glob.has_magic(word) and not os.path.lexists(word)


def _is(path: str | Path, kind: Callable[[Path], bool]) -> bool:
    """Whether a path is of a kind; not, where it cannot be looked at or its name is too long."""
    try:
        return kind(Path(path))
    except OSError:
        return False
