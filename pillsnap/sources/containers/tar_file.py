"""Read a tar as zips are read: names first, then any member by one read at its place."""

import hashlib
import tarfile
from pathlib import Path

from pillsnap.sources.containers.parts import WholeFile


class TarFile:
    """An uncompressed tar.

    Attributes:
        members: all members but folders, in the order of the file.
    """

    def __init__(self, path: Path) -> None:
        """Read the headers of all members; raises `OSError` and `tarfile.TarError` on damage."""
        self._file = WholeFile(path)
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                self.members = [member for member in archive if not member.isdir()]
        except BaseException:
            self._file.close()
            raise

    def directory_hash(self) -> str:
        """Return the SHA-256 over names, sizes, places and checksums of the headers."""
        facts = "".join(f"{one.name}\0{one.size}\0{one.offset_data}\0{one.chksum}\n" for one in self.members)
        return hashlib.sha256(facts.encode(errors="surrogateescape")).hexdigest()

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Return a member's bytes; raises `OSError` where the tar ends before them."""
        data = self._file.pread(member.size, member.offset_data)
        if len(data) != member.size:
            raise OSError(f"{member.name}: the tar ends after {len(data)} of {member.size} bytes")
        return data

    def close(self) -> None:
        self._file.close()
