"""Progress of a job: a bar on a terminal, rare plain lines in a log.

Snakemake runs several jobs on one terminal and writes between them. Each job therefore takes a row of its own at the
foot of the screen, and what is printed scrolls above these rows, as in Debian's apt. tqdm's own positions are lines
below the cursor, which whatever another process prints moves.
"""

import contextlib
import io
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from filelock import FileLock, Timeout
from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0
_BAR = "{desc} {bar} {n:,} of {total:,} {unit}, {rate_noinv_fmt}, {remaining} left"

Item = TypeVar("Item")


def progress(items: Iterable[Item], *, total: int, title: str, unit: str = "photos") -> Iterator[Item]:
    """Yield the items and report how many are done, how many a second, and the time left.

    On a terminal that is a bar; elsewhere, as on a cluster, a log line once a minute. A last line is always logged.

    Args:
        items: what the job works on.
        total: number of items.
        title: name of the job, of its archive for instance.
        unit: what an item is, in the plural.
    """
    start = time.monotonic()
    done = 0
    with counting() as counter:
        counter.begin(total=total, title=title, unit=unit)
        for item in items:
            yield item
            done += 1
            counter.update()
    seconds = time.monotonic() - start
    log.info("%s: %s %s in %s, %s", title, f"{done:,}", unit, _clock(seconds), _rate(done, seconds, unit))


class Counter:
    """Progress of one loop after the other, of epochs for instance, in a row that the job keeps meanwhile."""

    def __init__(self, row: "_Row | None", stack: contextlib.ExitStack) -> None:
        self._row, self._stack = row, stack
        self._display: tqdm[NoReturn] | _Lines

    def begin(self, *, total: int, title: str, unit: str) -> None:
        """Count from zero to `total`; ends the count before."""
        self._stack.close()
        bar = self._row and self._stack.enter_context(_bar(self._row, total, title, unit))
        self._display = bar or _Lines(total, title, unit)

    def update(self) -> None:
        """Count one more as done."""
        self._display.update()


@contextlib.contextmanager
def counting() -> Iterator[Counter]:
    """A counter for a job's progress; it reports as `progress` does, but without a last line."""
    with _own_row() as row, contextlib.ExitStack() as stack:
        yield Counter(row, stack)


def _bar(row: "_Row", total: int, title: str, unit: str) -> "tqdm[NoReturn]":
    return tqdm(
        total=total,
        desc=title,
        unit=f" {unit}",
        bar_format=_BAR.replace("{unit}", unit),
        file=row,
        leave=False,
        mininterval=0.25,
        dynamic_ncols=True,
    )


class _Lines:
    """Log lines, at most one in `SECONDS_BETWEEN_LINES`."""

    def __init__(self, total: int, title: str, unit: str) -> None:
        self._total, self._title, self._unit = total, title, unit
        self._done = 0
        self._start = self._last = time.monotonic()

    def update(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES or self._done >= self._total:
            return
        self._last = now
        seconds = now - self._start
        counts = f"{self._done:,} of {self._total:,} {self._unit}"
        left = _clock(seconds / self._done * (self._total - self._done))
        log.info("%s: %s, %s, %s left", self._title, counts, _rate(self._done, seconds, self._unit), left)


def _rate(done: int, seconds: float, unit: str) -> str:
    return f"{done / max(seconds, 1e-3):.1f} {unit}/s"


def _clock(seconds: float) -> str:
    return tqdm.format_interval(round(seconds))


class _Row(io.TextIOBase):
    """A row of the terminal, counted from its foot, as a stream: each write shows its text there."""

    encoding = "utf-8"

    def __init__(self, place: int) -> None:
        self.place = place

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def write(self, text: str) -> int:
        shown = text.strip("\r\n")
        if shown:
            _send(f"\x1b7\x1b[{_lines() - self.place};1H\x1b[2K{shown.rstrip()}\x1b8")
        return len(text)


@contextlib.contextmanager
def _own_row() -> Iterator[_Row | None]:
    """The lowest free row of this terminal; `None` where there is no terminal, or no row left on it."""
    folder = _terminal_folder()
    lock = _take_lock(folder) if folder else None
    if not folder or not lock:
        yield None
        return
    place = int(Path(lock.lock_file).name)
    with FileLock(folder / "screen"):
        _reserve(folder, place + 1)
    try:
        yield _Row(place)
    finally:
        with FileLock(folder / "screen"):
            _send(f"\x1b7\x1b[{_lines() - place};1H\x1b[2K\x1b8")
            lock.release()
            if not any(_locked(folder / str(other)) for other in range(_reserved(folder))):
                _give_back(folder)


def _terminal_folder() -> Path | None:
    """Where the jobs of this terminal meet; `None` where standard error is no terminal that can place a cursor."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    name = os.ttyname(sys.stderr.fileno()).strip("/").replace("/", "-")
    folder = Path(tempfile.gettempdir()) / f"pillsnap-rows-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _take_lock(folder: Path) -> FileLock | None:
    for place in range(_lines() // 2):
        lock = FileLock(folder / str(place))
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            continue
        except OSError:  # the file system has no locks
            return None
    return None


def _locked(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _reserved(folder: Path) -> int:
    """How many rows at the foot are kept from scrolling."""
    file = folder / "rows"
    return int(file.read_text()) if file.exists() else 0


def _reserve(folder: Path, rows: int) -> None:
    """Keep at least so many rows from scrolling; what stands there moves up first."""
    more = rows - _reserved(folder)
    if more > 0:
        _send("\n" * more + f"\x1b[{more}A\x1b7\x1b[1;{_lines() - rows}r\x1b8")
        (folder / "rows").write_text(str(rows))


def _give_back(folder: Path) -> None:
    _send("\x1b7\x1b[r\x1b8")
    (folder / "rows").unlink(missing_ok=True)


def _lines() -> int:
    return os.get_terminal_size(sys.stderr.fileno()).lines


def _send(text: str) -> None:
    """Write at one go, so that jobs do not break into each other's escape sequences."""
    sys.stderr.flush()
    os.write(sys.stderr.fileno(), text.encode(errors="replace"))
