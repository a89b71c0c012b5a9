"""A zip or a folder, read the same way."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from types import TracebackType


class ContainerError(ValueError):
    """An archive that cannot be opened."""


class Container:
    """Names and bytes of the files in a zip or below a folder. Links that lead out of a folder are not followed."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`; raises `ContainerError` where it is neither a readable zip nor a folder."""
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            return
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ContainerError(
                f"{self.path}: is neither a folder nor a zip that can be opened ({error}). Fetch the archive again."
            ) from error

    def names(self) -> list[str]:
        """Relative names of all files, sorted."""
        if self._zip:
            return sorted(name for name in self._zip.namelist() if not name.endswith("/"))
        root = self.path.resolve()
        files = (file for file in self.path.rglob("*") if file.is_file() and file.resolve().is_relative_to(root))
        return sorted(file.relative_to(self.path).as_posix() for file in files)

    def read(self, name: str) -> bytes:
        """Bytes of one file; raises `KeyError` where there is none of that name, `OSError` where it cannot be read."""
        if self._zip:
            return self._read_zipped(self._zip, name)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise KeyError(name)
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(name) from error

    @staticmethod
    def _read_zipped(archive: zipfile.ZipFile, name: str) -> bytes:
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            # damaged, compressed in a way that zipfile does not know, or encrypted
            raise OSError(f"{name}: {error}") from error

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._zip:
            self._zip.close()
