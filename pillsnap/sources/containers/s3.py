"""Files in S3: their paths, and reads of the bytes that are wanted, through s3fs.

Endpoint and credentials are those of the usual variables of the environment, such as `AWS_ENDPOINT_URL`.
"""

import bisect
import contextlib
import functools
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

log = logging.getLogger(__name__)

SCHEME = "s3://"

GAP = 2**18
"""Bytes between two members up to which one request fetches both."""
BLOCK = 2**20
"""Bytes up to which neighbours are joined: what a request fetches in about the time that it takes to be answered."""
TAIL = 2**17
"""Bytes at the end of a file that are fetched together: a zip's last records and comment, or all its directory."""
AHEAD = 8
"""Requests that run before their bytes are asked for."""
HELD = 64 * 2**20
"""Bytes that a file keeps in memory: labels are read in the order of their names, whatever that of their zip."""

Span = tuple[int, int]
"""Begin and end of bytes in a file."""


class S3Error(RuntimeError):
    """S3 that does not answer, or refuses. It is of no kind that damaged bytes raise: nothing is quarantined for it."""


class S3Stat(NamedTuple):
    """Size of an object, and the tag that changes with its content."""

    st_size: int
    etag: str


class S3Path(PurePosixPath):
    """`s3://bucket/key`, with the methods of `pathlib.Path` that finding and reading archives needs.

    A prefix is a folder. Every method raises `S3Error` where S3 does not answer, or has no such bucket.
    """

    def __str__(self) -> str:
        return SCHEME + self.address

    def __fspath__(self) -> str:
        return str(self)

    @property
    def address(self) -> str:
        """Bucket and key."""
        return "/".join(self.parts[1:])

    def is_absolute(self) -> bool:
        return True

    def resolve(self) -> "S3Path":
        return self

    def exists(self) -> bool:
        return bool(self._info())

    def is_dir(self) -> bool:
        return self._info().get("type") == "directory"

    def is_file(self) -> bool:
        return self._info().get("type") == "file"

    def stat(self) -> S3Stat:
        """Return size and ETag of an object; raises `FileNotFoundError`."""
        info = self._info()
        if info.get("type") != "file":
            raise FileNotFoundError(2, "No such object", str(self))
        return S3Stat(info["size"], info["ETag"].strip('"'))

    def iterdir(self) -> "Iterator[S3Path]":
        return (self / name for name, _ in self._listed())

    def walk(self) -> "Iterator[tuple[S3Path, list[str], list[str]]]":
        """Yield each folder with its folders and files, as `os.walk` does."""
        listed = self._listed()
        folders = [name for name, kind in listed if kind == "directory"]
        yield self, folders, [name for name, kind in listed if kind == "file"]
        for name in folders:
            yield from (self / name).walk()

    def _info(self) -> dict[str, Any]:
        """Return what S3 says of an object or prefix; nothing where there is none."""
        with _told(self):
            try:
                return _file_system().info(self.address)
            except FileNotFoundError as error:
                if len(self.parts) > 2 and _code(error) != "NoSuchBucket":
                    return {}
                raise

    def _listed(self) -> list[tuple[str, str]]:
        with _told(self):
            found = _file_system().ls(self.address, detail=True)
        names = [(one["name"].rstrip("/"), one["type"]) for one in found]
        return [(PurePosixPath(name).name, kind) for name, kind in names if name != self.address]  # a folder's marker


def place_of(path: str | Path) -> Path:
    """Return a path of this machine's disks, or an `S3Path`, which reads alike."""
    return cast("Path", S3Path(str(path))) if is_in_s3(path) else Path(path)


def walk(root: Path) -> Iterator[tuple[str | Path, list[str], list[str]]]:
    """Yield each folder below one, itself first, with its folders and files: `os.walk`, in S3 too.

    Raises:
        OSError: a folder cannot be listed. What lies in it would else be lost without a word.
    """
    return cast("Any", root).walk() if is_in_s3(root) else os.walk(root, onerror=_tell)


def _tell(error: OSError) -> None:
    raise OSError(
        f"{error.filename}: cannot be listed ({error.strerror}). Allow reading it, or take it out of the data."
    ) from error


def is_in_s3(path: str | Path) -> bool:
    """Whether a path begins with `s3://`."""
    return str(path).startswith(SCHEME)


class S3File:
    """An object, read by ranges; any thread may read.

    What `will_read` was told is fetched ahead, neighbours of the file together. An object that is written anew while it
    is read is an error, not a mixture of both.

    Attributes:
        size: bytes.
    """

    def __init__(self, path: S3Path) -> None:
        """Open an object; raises `S3Error`."""
        self._path = path
        with _told(path):
            self._file = _file_system().open(path.address, "rb", cache_type="none")  # reads what its ETag names only
        self.size: int = self._file.size
        self._threads = ThreadPoolExecutor(AHEAD)
        self._lock = threading.Lock()
        self._held: OrderedDict[Span, Future[bytes]] = OrderedDict()
        self._held_bytes = self._requests = self._fetched_bytes = 0
        self._blocks: list[Span] = []
        self._order: list[Span] = []
        self._turns: dict[Span, int] = {}
        self._next = 0
        self._tail = self.size

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset` on; raises `S3Error`."""
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        with self._lock:
            span = self._span_around(offset, end)
            future = self._request(span)
            if span in self._turns:
                self._read_ahead(self._turns[span])
        return future.result()[offset - span[0] : end - span[0]]

    def will_read(self, spans: Sequence[Span]) -> None:
        """Plan the requests for spans, given in the order in which they will be read."""
        with self._lock:
            self._blocks = _joined(spans)
            self._order = list(dict.fromkeys(block for span in spans if (block := self._block_around(*span))))
            self._turns = {block: turn for turn, block in enumerate(self._order)}
            self._next = 0

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._file.close()
        log.info("%s, %d bytes: %d moved in %d requests", self._path, self.size, self._fetched_bytes, self._requests)

    def _span_around(self, start: int, end: int) -> Span:
        """Return what to fetch for a read: its block, the end of the file, or just the read."""
        if block := self._block_around(start, end):
            return block
        if start >= self._tail:
            return self._tail, self.size
        if end > self.size - TAIL:
            self._tail = max(0, min(start, self.size - TAIL))
            return self._tail, self.size
        return start, end

    def _block_around(self, start: int, end: int) -> Span | None:
        place = bisect.bisect_right(self._blocks, (start, self.size)) - 1
        return self._blocks[place] if place >= 0 and self._blocks[place][1] >= end else None

    def _read_ahead(self, turn: int) -> None:
        """Request the blocks that follow one, by their number and bytes."""
        room = HELD // 2
        for number, block in enumerate(self._order[turn + 1 : turn + 1 + AHEAD], turn + 1):
            room -= block[1] - block[0]
            if room < 0:
                break
            if number >= self._next:
                self._request(block)
                self._next = number + 1

    def _request(self, span: Span) -> Future[bytes]:
        if span in self._held:
            self._held.move_to_end(span)
            return self._held[span]
        future = self._held[span] = self._threads.submit(self._fetch, *span)
        self._requests += 1
        self._fetched_bytes += span[1] - span[0]
        self._held_bytes += span[1] - span[0]
        while self._held_bytes > HELD and len(self._held) > 1:
            (start, end), _ = self._held.popitem(last=False)
            self._held_bytes -= end - start
        return future

    def _fetch(self, start: int, end: int) -> bytes:
        with _told(self._path):
            data: bytes = self._file.cache.fetcher(start, end)
        if len(data) != end - start:
            raise S3Error(f"{self._path}: gave {len(data)} of {end - start} bytes. Give the same command again.")
        return data


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Return spans in the order of the file, neighbours as one block."""
    blocks: list[Span] = []
    for start, end in sorted(spans):
        if blocks and start - blocks[-1][1] <= GAP and max(end, blocks[-1][1]) - blocks[-1][0] <= BLOCK:
            blocks[-1] = blocks[-1][0], max(end, blocks[-1][1])
        else:
            blocks.append((start, end))
    return blocks


@functools.cache
def _file_system() -> Any:
    try:
        from s3fs import S3FileSystem
    except ImportError as error:
        raise S3Error(
            f"{SCHEME}: is read by the package s3fs, which is missing ({error}). Install it, in the project's folder: "
            "python -m pip install --editable '.[s3]'"
        ) from error
    # three attempts of each request, and of those that fail in the midst of their bytes, five by s3fs
    return S3FileSystem(skip_instance_cache=True, config_kwargs={"retries": {"mode": "standard"}})


@contextlib.contextmanager
def _told(path: S3Path) -> Iterator[None]:
    """Raise what s3fs and botocore raise as `S3Error`, with its cure."""
    try:
        yield
    except S3Error:
        raise
    except Exception as error:
        raise S3Error(f"{path}: {_said(path, error)}") from error


def _said(path: S3Path, error: Exception) -> str:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return "no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    if kind == "FileExpired":
        return "was written anew while it was read. Give the same command again."
    if isinstance(error, PermissionError):
        return (
            f"access is refused ({error}). Check the credentials, and that they may list the bucket and read from it."
        )
    if isinstance(error, FileNotFoundError):
        place = f"bucket {path.parts[1]}" if _code(error) == "NoSuchBucket" or len(path.parts) < 3 else "such object"
        return f"there is no {place}. Correct the address, or AWS_ENDPOINT_URL, which says where the server is."
    return f"S3 does not answer as it should ({str(error) or kind}). Check AWS_ENDPOINT_URL, network and address."


def _code(error: Exception) -> str:
    """Return S3's own code of an error, which s3fs has translated."""
    response: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code", "")
