"""Read a zip, a tar or a folder the same way, trusting no name, size or link in it.

`zipfile` reads the directory only. Members are read here: by one `pread` each, which needs no lock between threads, and
with ISA-L's inflate, which is faster than zlib's and stops at the size that the directory promises.
"""

import bz2
import hashlib
import itertools
import logging
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from isal import isal_zlib

from pillsnap.sources.containers.parts import WholeFile
from pillsnap.sources.containers.s3 import Span, is_in_s3, place_of, walk
from pillsnap.sources.containers.tar_file import TarFile
from pillsnap.sources.containers.zip_names import decoded_names

log = logging.getLogger(__name__)

MAX_PHOTO_BYTES = 256 * 2**20
"""Larger photo files are refused: 150 times an AIHub photograph."""
MAX_LABEL_BYTES = 2**20
"""Larger label files are refused: 500 times an AIHub label."""

_UNSAFE = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DVC_CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
"""Where DVC keeps a file by its content, and links to with `cache.type symlink`."""
_LONGEST_NAME = 180
"""Bytes of a base name: results are named after it, and file systems allow 255."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_EXTRA_ROOM = 64
"""Bytes read beyond a member for a local header that is longer than the directory says."""
_DAMAGE: tuple[type[Exception], ...] = (  # type: ignore[assignment]  # isal's stub calls its error an object
    OSError, zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, IndexError, EOFError, struct.error,
    isal_zlib.error, lzma.LZMAError, tarfile.TarError,
)  # fmt: skip
"""Exceptions of `zipfile`, `tarfile` and the decompressors on damaged bytes."""


class ContainerError(ValueError):
    """An archive that cannot be opened."""


class MemberError(OSError):
    """A refused file of an archive; `reason` is one of the quarantine's reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Entry(NamedTuple):
    """A file's name in its archive, and why it is refused; `reason` is empty where it is not."""

    name: str
    reason: str = ""
    detail: str = ""


class Container:
    """Names and bytes of the files in a zip or tar, or below a folder. No link is followed out of a folder, except
    those that DVC makes into its cache.

    A zip or tar may lie there in the parts in which it was downloaded; its path is that of the first part. A zip may
    lie in S3, at `s3://bucket/key`: what is asked of it is read in place, and each method may raise `S3Error`.
    """

    def __init__(self, path: str | Path) -> None:
        """Open `path`; raises `ContainerError` where it is neither a folder nor a readable zip or tar."""
        self.path = place_of(path)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._members: dict[str, tarfile.TarInfo] = {}
        self._overlapping: set[str] = set()
        self._zip: zipfile.ZipFile | None = None
        self._file: WholeFile | None = None
        self._tar: TarFile | None = None
        self._entries: dict[str, Entry] = {}
        if is_in_s3(path) or not self.path.is_dir():
            if ".tar" in self.path.suffixes:
                self._tar = _open_tar(self.path)
            else:
                self._zip, self._file = _open_zip(self.path)

    def directory_hash(self) -> str:
        """Return the SHA-256 of a zip's or tar's directory: names, sizes, checksums; empty for a folder.

        It shows that another archive has taken the name, and reads a thousandth of the file.
        """
        if self._tar:
            return self._tar.directory_hash()
        if not self._zip or not self._file:
            return ""
        self._file.seek(self._zip.start_dir)
        return hashlib.sha256(self._file.read()).hexdigest()

    def entries(self) -> list[Entry]:
        """List all files sorted by name; of a name that a zip has twice both are listed, and the first is read."""
        listed = self._list_zip(self._zip) if self._zip else self._list_tar(self._tar) if self._tar else None
        found = sorted(self._list_folder() if listed is None else listed, key=lambda entry: entry.name)
        self._entries = {entry.name: entry for entry in reversed(found)}
        return found

    def read(self, name: str, *, limit: int = MAX_PHOTO_BYTES) -> bytes:
        """Return the bytes of one file; memory holds at most `limit` and the compressed bytes.

        Raises:
            KeyError: there is no such name.
            MemberError: it is refused: encrypted, too large, a link that leads out, an unsafe name.
            OSError: it is damaged or cannot be read.
        """
        if not self._entries:
            self.entries()
        entry = self._entries[name]
        if entry.reason:
            raise MemberError(entry.reason, entry.detail)
        if self._file:
            return self._read_zipped(self._file, name, limit)
        return self._read_tarred(self._tar, name, limit) if self._tar else self._read_file(name, limit)

    def will_read(self, names: Iterable[str], *, limit: int = MAX_PHOTO_BYTES) -> None:
        """Tell which files will be read next, in this order: those of a zip in S3 are fetched ahead."""
        if not self._file:
            return
        if not self._entries:
            self.entries()
        infos = [self._infos[name] for name in names if name in self._infos and not self._entries[name].reason]
        self._file.will_read([_span(info) for info in infos if max(info.file_size, info.compress_size) <= limit])

    def _list_zip(self, archive: zipfile.ZipFile) -> Iterator[Entry]:
        self._infos = {}
        decoded = decoded_names(archive.infolist())
        for info in archive.infolist():
            name = decoded.get(info.filename, info.filename)
            if name[-1:] == "/":
                continue
            if name in self._infos:
                yield Entry(name, "name_repeated", "the archive has a file of this name already")
                continue
            self._infos[name] = info
            mode = info.external_attr >> 16
            if _is_unsafe(name):
                yield Entry(name, "name_unsafe", _shown(name))
            elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield Entry(name, "link_outside", "a link or special file in a zip")
            elif info.flag_bits & 1:
                yield Entry(name, "encrypted", "the file is encrypted")
            else:
                yield Entry(name)
        self._overlapping = _overlapping(self._infos)

    def _list_tar(self, archive: TarFile) -> Iterator[Entry]:
        self._members = {}
        for member in archive.members:
            name = member.name.removeprefix("./")
            if name in self._members:
                yield Entry(name, "name_repeated", "the archive has a file of this name already")
                continue
            self._members[name] = member
            if _is_unsafe(name):
                # such a name cannot stand in a UTF-8 table
                yield Entry(name.encode(errors="backslashreplace").decode(), "name_unsafe", _shown(name))
            elif not member.isreg() or member.issparse():
                yield Entry(name, "link_outside", "a link or special file in a tar")
            else:
                yield Entry(name)

    def _list_folder(self) -> Iterator[Entry]:
        root = self.path.resolve()
        for folder, folders, files in walk(self.path):
            place = Path(folder)
            for name in folders:
                if (place / name).is_symlink():
                    _warn_of_link(place / name)
            for name in files:
                yield _file_entry(place / name, (place / name).relative_to(self.path).as_posix(), root)

    def _read_file(self, name: str, limit: int) -> bytes:
        with (self.path / name).open("rb") as file:
            _check_size(os.fstat(file.fileno()).st_size, limit)
            return file.read(limit)

    def _read_tarred(self, archive: TarFile, name: str, limit: int) -> bytes:
        _check_size(self._members[name].size, limit)
        return archive.read(self._members[name])

    def _read_zipped(self, file: WholeFile, name: str, limit: int) -> bytes:
        info = self._infos[name]
        _check_size(max(info.file_size, info.compress_size), limit)
        if name in self._overlapping:
            raise OSError(f"{name}: overlaps another file of the archive")
        try:
            data = _decompress(_read_stored(file, info), info)
        except _DAMAGE as error:
            raise OSError(f"{name}: {error}") from error
        if len(data) != info.file_size or isal_zlib.crc32(data) != info.CRC:
            raise OSError(f"{name}: size or CRC-32 differs from the archive's directory")
        return data

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for opened in (self._zip, self._file, self._tar):  # a zip leaves a file open that it was given
            if opened:
                opened.close()


def _open_tar(path: Path) -> TarFile:
    """Open a tar; raises `ContainerError` where it is damaged or compressed, or lies in S3."""
    if is_in_s3(path):
        raise ContainerError(f"{path}: a tar has no directory, so that all of it would be read. Keep zips in S3.")
    try:
        return TarFile(path)
    except _DAMAGE as error:
        raise ContainerError(
            f"{path}: is no tar that can be opened ({error}). Fetch it again; unpack one that is compressed, since its "
            "files cannot be read one by one."
        ) from error


def _open_zip(path: Path) -> tuple[zipfile.ZipFile, WholeFile]:
    """Open a zip and the file that holds it; raises `ContainerError` where it is damaged, or encrypted as a whole."""
    file = None
    try:
        file = WholeFile(path)
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        if file:
            file.close()
        raise ContainerError(
            f"{path}: is neither a folder nor a zip that can be opened ({error}). Fetch the archive again."
        ) from error
    files = (info for info in archive.infolist() if not info.is_dir())
    first = next(files, None)
    if first and first.flag_bits & 1 and all(info.flag_bits & 1 for info in files):
        file.close()
        raise ContainerError(f"{path}: is an encrypted zip. Decrypt it, or fetch one that is not.")
    return archive, file


def _is_unsafe(name: str) -> bool:
    """Whether a name leaves its folder, or cannot name a file on every system."""
    if not name:  # zipfile cuts names at the first NUL
        return True
    if name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME:  # nearly all names: a quick check
        plain = name[0] != "/" and ".." not in name and ":" not in name and "\\" not in name
        return not plain and _UNSAFE.search(name) is not None
    return _UNSAFE.search(name) is not None or len(os.fsencode(name.rpartition("/")[2])) > _LONGEST_NAME


def _shown(name: str) -> str:
    return ascii(name)[:200]


@lru_cache  # a folder is listed several times
def _warn_of_link(folder: Path) -> None:
    log.warning("%s: a link to a folder is not followed; put the files themselves there", folder)


def _file_entry(file: Path, name: str, root: Path) -> Entry:
    if _is_unsafe(name):
        # such a name cannot stand in a UTF-8 table
        return Entry(name.encode(errors="backslashreplace").decode(), "name_unsafe", _shown(name))
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            target = file.resolve(strict=True)
            known = target.is_relative_to(root) or _DVC_CACHED.search(target.as_posix())
            mode = target.stat().st_mode if known else 0
    except (OSError, RuntimeError):  # a dangling link, or a loop
        mode = 0
    return Entry(name) if stat.S_ISREG(mode) else Entry(name, "link_outside", "leads out of the folder, or is no file")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise MemberError("file_too_large", f"{size} bytes, limit {limit}")


def _span(info: zipfile.ZipInfo) -> Span:
    """Return where a member lies, its local header included."""
    name = len(info.orig_filename.encode())
    wanted = _LOCAL_HEADER.size + name + len(info.extra) + info.compress_size + _EXTRA_ROOM
    return info.header_offset, info.header_offset + wanted


def _read_stored(file: WholeFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member's compressed bytes with one call."""
    begin, end = _span(info)
    wanted = end - begin
    block = file.pread(wanted, begin)
    if len(block) < _LOCAL_HEADER.size or block[:4] != _LOCAL_SIGNATURE:
        raise zipfile.BadZipFile("no local header at the offset in the archive's directory")
    _, name_length, extra_length = _LOCAL_HEADER.unpack_from(block)
    start = _LOCAL_HEADER.size + name_length + extra_length
    if start + info.compress_size > wanted:
        return file.pread(info.compress_size, info.header_offset + start)
    return block[start : start + info.compress_size]


def _overlapping(infos: Mapping[str, zipfile.ZipInfo]) -> set[str]:
    """Return the files that reach into the next one: sharing bytes, a zip bomb unpacks to more than its size allows."""
    placed = sorted(infos.items(), key=lambda item: item[1].header_offset)
    return {
        name
        for (name, info), (_, following) in itertools.pairwise(placed)
        if info.header_offset + _LOCAL_HEADER.size + info.compress_size > following.header_offset
    }


def _decompress(stored: bytes, info: zipfile.ZipInfo) -> bytes:
    """Return a member's content; of one that is longer than the directory promises, one byte more than promised."""
    if info.compress_type == zipfile.ZIP_STORED:
        return stored
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return isal_zlib.decompressobj(-isal_zlib.MAX_WBITS).decompress(stored, info.file_size + 1)
    if info.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(stored, info.file_size + 1)
    if info.compress_type == zipfile.ZIP_LZMA:
        # a zip has versions before the coder's properties, an .lzma file a size (here: unknown) after them
        lzma_file = stored[4:9] + b"\xff" * 8 + stored[9:]
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE, MAX_PHOTO_BYTES).decompress(lzma_file, info.file_size + 1)
    raise NotImplementedError(f"compression type {info.compress_type} is not supported")
