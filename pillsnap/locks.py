"""Locks between processes, and file systems that have none."""

import contextlib
import errno
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

WORK_CURE = "Mount it with its lock service, or move pathvars.work to a disk of this machine"
_MISSING = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockError(OSError):
    """No file can be locked in a folder, as on a network file system without its lock service."""


@contextlib.contextmanager
def explained_locks(folder: Path, cure: str) -> Iterator[None]:
    """Raise `LockError`, which names the folder and the cure, where the block finds no locks there."""
    try:
        yield
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        raise LockError(f"{folder}: no file can be locked there ({error.strerror}). {cure}.") from error


def try_lock(folder: Path) -> None:
    """Lock a file without a name in an existing folder, and let it go.

    Raises:
        OSError: no file can be written or locked there.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
