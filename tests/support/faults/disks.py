"""A small disk below a project's folders, which a test fills, empties and makes read-only."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PARTS = ("results", "work", "logs", "data")


@dataclass(frozen=True)
class Disk:
    """A file system in memory."""

    place: Path

    @property
    def free(self) -> int:
        """Bytes."""
        return shutil.disk_usage(self.place).free

    def fill(self, leave: int = 0) -> None:
        """Leave only so many bytes free."""
        self.empty()
        with (self.place / "fill").open("wb") as stream:
            while True:
                with contextlib.suppress(OSError):  # a job that writes meanwhile takes some of the room
                    os.posix_fallocate(stream.fileno(), 0, max(1, self.free - leave))
                    return

    def empty(self) -> None:
        """Take away what fills it."""
        (self.place / "fill").unlink(missing_ok=True)


@contextlib.contextmanager
def disk(place: Path, megabytes: int) -> Iterator[Disk]:
    """A disk of that size at `place`; the test is skipped where nothing may be mounted, but not under PILLSNAP_CI=1."""
    place.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place))
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def below(folder: Path, small: Disk) -> Iterator[None]:
    """Have what a project makes lie on the disk, under the same names."""
    with contextlib.ExitStack() as stack:
        for part in PARTS:
            for path in (small.place / part, folder / part):
                path.mkdir()
            mount("--bind", str(small.place / part), str(folder / part))
            stack.callback(subprocess.run, ["umount", "-l", str(folder / part)], check=True)
        yield


def mount(*words: str) -> None:
    """Call `mount`, or skip."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        said = f"needs the right to mount a file system: {done.stderr.strip()}"
        pytest.fail(said) if os.environ.get("PILLSNAP_CI") == "1" else pytest.skip(said)


def read_only(folder: Path, *, on: bool) -> None:
    """Make a mounted folder read-only, or writable again."""
    mount("-o", f"remount,bind,{'ro' if on else 'rw'}", str(folder))
