"""Write files and folders atomically, hash them, and store many small pictures in one file, a shard."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import psutil

_FULL_DISK_BYTES = 2**20
"""A disk with fewer bytes free counts as full, where a library's error has no errno."""
_CURE = "{}, or choose another place (of a run: pathvars.results and pathvars.work), and give the command again."
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_MOST_NAME_BYTES = 240
"""Longest name that the temporary name repeats: with process and ending, file systems allow 255."""


class DiskError(OSError):
    """Results cannot be written: their disk is full or read-only, or something that must be kept is in their place."""


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, which is renamed to `path` when the block succeeds, and removed otherwise.

    Temporary files of killed processes are removed first and last. Raises `DiskError` where the block fails because the
    disk is full or not writable. Hand-written, for folders too, and to explain a full disk.
    """
    path = Path(path)
    temporary = path.with_name(f"{_hidden_name(path)}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        yield temporary
        temporary.replace(path)
    except Exception as error:
        if message := _disk_problem(error, path):
            raise DiskError(message) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # the next writer removes it
            _remove(temporary)
            _remove_stale(path)  # of another writer that was killed meanwhile


def _hidden_name(path: Path) -> str:
    name = os.fsencode(path.name)
    return f".{path.name if len(name) <= _MOST_NAME_BYTES else hashlib.sha256(name).hexdigest()}"


def _remove_stale(path: Path) -> None:
    for stale in path.parent.glob(f"{glob.escape(_hidden_name(path))}.*.part"):
        if not _is_running(int(stale.suffixes[-2][1:])):
            _remove(stale)


def _is_running(pid: int) -> bool:
    """Whether a process can still write: one that was killed has its number until its parent has asked for its end."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _disk_problem(error: Exception, path: Path) -> str:
    """Message for an error that the disk causes; empty for others, and where the error has it already."""
    number = getattr(error, "errno", None)
    if isinstance(error, DiskError):
        return ""
    failed = Path(getattr(error, "filename", None) or path)
    denied = number in (errno.EACCES, errno.EPERM) and failed.absolute().is_relative_to(path.absolute().parent)
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    unexplained = number is None and not os.access(folder, os.W_OK)
    if number == errno.EROFS or denied or unexplained:
        return f"{path}: cannot be written ({error}). {_CURE.format('Allow writing there')}"
    free = shutil.disk_usage(folder).free
    if number in (errno.ENOSPC, errno.EDQUOT) or (number is None and free < _FULL_DISK_BYTES):
        return f"{path}: cannot be written, the disk is full ({free} bytes free). {_CURE.format('Make room')}"
    return ""


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Like `replacing`, for a folder: an older one is removed just before the new one is renamed."""
    with replacing(path) as temporary:
        temporary.mkdir()
        yield temporary
        if Path(path).exists():
            shutil.rmtree(path)


@contextlib.contextmanager
def placing_folder(path: str | Path, *, replaced: Collection[str] = ()) -> Iterator[Path]:
    """Like `replacing_folder`, in a place of the user's: nothing is removed there that this did not make.

    Args:
        path: the folder; where it is empty or holds files of exactly these names, the new one takes its place.
        replaced: names of the files of an earlier one.

    Raises:
        DiskError: something else is there, or the disk takes nothing.
    """
    path = Path(path)
    try:
        with replacing(path) as temporary:
            temporary.mkdir()
            yield temporary
            if path.is_dir() and {file.name for file in path.iterdir()} == set(replaced):
                for name in replaced:
                    (path / name).unlink()
    except OSError as error:
        if error.errno not in _OCCUPIED or error.filename2 != str(path):  # not that the rename found something there
            raise
        problem = "something was put there meanwhile, and was kept. Name another place, and give the command again"
        raise DiskError(f"{path}: {problem}.") from error


def check_writable(folder: Path) -> None:
    """Check that a file can be written in a folder, or where that would be made; raises `DiskError`."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        problem = f"{folder}: nothing can be written there ({nearest}: {(error.strerror or str(error)).lower()})"
        raise DiskError(f"{problem}. Allow writing there, or name another place.") from error


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with line feeds, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON (keys in their order), atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file in UTF-8."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's relative names and contents in sorted order; hexadecimal.

    Files of Snakemake (`.snakemake…`) in a folder are ignored. Raises `FileNotFoundError`
    where there is neither file nor folder.
    """
    path = Path(path)
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    lines = [
        f"{file.relative_to(path).as_posix()} {sha256_of(file)}"
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.startswith(".snakemake")
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class ShardWriter:
    """Writer that appends pictures to one file, and returns their offsets."""

    def __init__(self, path: str | Path) -> None:
        self._stream: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed in __exit__)

    def add(self, data: bytes) -> tuple[int, int]:
        """Append `data`; returns (offset, length) in bytes."""
        offset = self._stream.tell()
        self._stream.write(data)
        return offset, len(data)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def read_from_shard(shard: BinaryIO, offset: int, length: int) -> bytes:
    """Read one picture of an open shard; raises `ValueError` where the shard ends before it does."""
    shard.seek(offset)
    data = shard.read(length)
    if len(data) != length:
        raise ValueError(f"{shard.name}: ends before byte {offset + length}. Make it again with its rule.")
    return data
