"""Photographs named on the command line: files, folders, globs and standard input."""

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pillsnap.pictures.decode import PictureError
from pillsnap.pictures.drawn_mark import DRAWN_BY, is_drawn
from pillsnap.pictures.endings import PHOTO_ENDINGS

MAX_BYTES = 256 * 2**20
"""Size limit of a file, 150 times an AIHub photograph; reading from an endless device stops here."""

STDIN = "-"


@dataclass(frozen=True)
class Problem:
    """Why a photograph was not answered.

    Attributes:
        reason: one word, of `pillsnap.tables.quarantine_reasons.CORRUPT`, `photo_missing` or `file_too_large`; of
            photographs of one pill also `not_one_pill` or `same_photo`.
        message: what is wrong and the cure.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Photo:
    """A requested photograph.

    Attributes:
        name: as given, or as found by a folder or glob; `-` is standard input.
        problem: why the argument `name` gives no photograph.
    """

    name: str
    problem: Problem | None = None

    @property
    def path(self) -> str:
        """The absolute path without `..`; `-` for standard input."""
        return self.name if self.name == STDIN else os.path.abspath(self.name)  # noqa: PTH100 (pathlib keeps `..`)

    @property
    def shown(self) -> str:
        """The name as valid text: bytes that are not UTF-8 are replaced."""
        return os.fsencode(self.name).decode("utf-8", "replace")

    @property
    def may_block(self) -> bool:
        """Whether reading may wait for another program: standard input, a pipe, a device."""
        return self.name == STDIN or (_is(self.name, Path.exists) and not _is(self.name, Path.is_file))


def find_photos(arguments: Iterable[str], *, warn: Callable[[str], None] = lambda _: None) -> list[Photo]:
    """List the photographs in the order of the arguments, each once; those of a folder or glob sorted.

    A folder gives all pictures below it, by extension; a glob (`*`, `?`, `[...]`, `**`) those that it matches. Both
    leave out hidden files and folders, and pictures that `pillsnap predict` has drawn, of which `warn` is told. A file
    may have any extension, and wins over a glob of the same text.
    """
    found: dict[str, Photo] = {}
    drawn: set[str] = set()
    for photo in (photo for argument in arguments for photo in _photos(argument, drawn)):
        found.setdefault(photo.path, photo)
    if drawn:
        warn(f"left out, since {DRAWN_BY}: {len(drawn)} picture{'' if len(drawn) == 1 else 's'}")
    return list(found.values())


def names_one(arguments: list[str]) -> bool:
    """Whether the arguments name a single photograph: a file or standard input, no folder and no glob."""
    return arguments == [STDIN] or (
        len(arguments) == 1 and not _is(arguments[0], Path.is_dir) and not _is_glob(arguments[0])
    )


def read_photo(photo: Photo) -> bytes:
    """Read a photograph's bytes.

    Raises:
        PictureError: `photo_missing` where it cannot be read, `file_too_large`.
    """
    try:
        if photo.name == STDIN:
            if sys.stdin is None:
                raise PictureError("photo_missing", "standard input is closed")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(photo.name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("photo_missing", error.strerror or str(error)) from error
    if len(data) > MAX_BYTES:
        raise PictureError("file_too_large", f"more than {MAX_BYTES // 2**20} MiB")
    return data


def _photos(argument: str, drawn: set[str]) -> Iterator[Photo]:
    """The photographs that an argument means; drawn pictures are added to `drawn`."""
    if argument == STDIN:
        yield Photo(STDIN)
    elif _is(argument, Path.is_dir):
        yield from _below(argument, drawn)
    elif _is_glob(argument):
        # pathlib's globs take no absolute pattern
        matches = sorted(path for path in glob.glob(argument, recursive=True) if _is_picture(path))  # noqa: PTH207
        photos = [path for path in matches if not _note_drawn(path, drawn)]
        yield from map(Photo, photos)
        if not photos:
            what = "every picture that matches is drawn" if matches else "no picture matches"
            yield Photo(argument, Problem("photo_missing", f"{what}. Check the pattern and its quotes."))
    else:
        yield Photo(argument)


def _below(folder: str, drawn: set[str]) -> Iterator[Photo]:
    found: list[Path] = []
    linked: list[Path] = []
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked += [path for name in folders if (path := Path(place, name)).is_symlink()]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if _is_picture(path)]
    photos = sorted(path for path in found if not _note_drawn(path, drawn))
    yield from (Photo(str(path)) for path in photos)
    for path in sorted(linked):
        words = "a link to a folder, which is not followed. Name the folder besides."
        yield Photo(str(path), Problem("photo_missing", words))
    for error in closed:
        yield Photo(error.filename, Problem("photo_missing", f"{error.strerror}. Check who may open the folder."))
    if not photos and not linked and not closed:
        what = "no picture but drawn ones" if found else "no picture"
        yield Photo(folder, Problem("photo_missing", f"{what} in this folder or its subfolders. Check the path."))


def _note_drawn(path: str | Path, drawn: set[str]) -> bool:
    """Whether a picture is a drawn one, which is then noted, however its path was given."""
    if is_drawn(Path(path)):
        drawn.add(Photo(str(path)).path)
        return True
    return False


def _is_picture(path: str | Path) -> bool:
    """Whether a path looks like a photograph; so does a link that leads nowhere, of which reading will tell."""
    leads_nowhere = _is(path, Path.is_symlink) and not _is(path, Path.exists)
    return Path(path).suffix.lower() in PHOTO_ENDINGS and (leads_nowhere or _is(path, Path.is_file))


def _is_glob(text: str) -> bool:
    return glob.has_magic(text) and not os.path.lexists(text)


def _is(path: str | Path, kind: Callable[[Path], bool]) -> bool:
    """Whether a path is of a kind; `False` where it is not accessible or its name is too long."""
    try:
        return kind(Path(path))
    except OSError:
        return False
