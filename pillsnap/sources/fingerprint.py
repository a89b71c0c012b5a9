"""What tells a raw archive from any other without reading its pictures."""

import hashlib
import zipfile
from pathlib import Path

from pillsnap.files import sha256_of


def fingerprint_of(path: str | Path) -> str:
    """Identity of a zip or a folder of raw data, in the time that its directory takes.

    Of a zip: SHA-256 over name, CRC-32, sizes and place of every member, as its central directory has them, behind
    `zip-directory:`. Of a folder: SHA-256 over relative names and sizes, behind `listing:`, which does not see an edit
    that keeps a file's size. Of another file, and of a zip whose directory cannot be read: SHA-256 of its bytes.

    Raises:
        FileNotFoundError: there is neither file nor folder.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path).as_posix()} {file.stat().st_size}" for file in files]
        return f"listing:{_hash(lines)}"
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return sha256_of(path)
    lines = [f"{one.filename} {one.CRC} {one.file_size} {one.compress_size} {one.header_offset}" for one in members]
    return f"zip-directory:{_hash(lines)}"


def _hash(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
