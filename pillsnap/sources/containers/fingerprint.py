"""Fingerprint of a raw archive, without reading its pictures."""

import hashlib
from pathlib import Path
from typing import cast

from pillsnap.files import sha256_of
from pillsnap.sources.containers.container import Container, ContainerError
from pillsnap.sources.containers.parts import parts_of
from pillsnap.sources.containers.s3 import S3Path, is_in_s3, place_of


def fingerprint_of(path: str | Path) -> str:
    """Return the identity of a zip or folder of raw data, in the time that reading its directory takes.

    Of a zip: `Container.directory_hash`, behind `zip-directory:`. Of a folder: SHA-256 over relative names and sizes,
    behind `listing:`, which does not see an edit that keeps a file's size. Of another file, and of a zip that cannot be
    opened: SHA-256 of its bytes.

    Raises:
        FileNotFoundError: there is neither file nor folder.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path).as_posix()} {file.stat().st_size}" for file in files]
        return f"listing:{hashlib.sha256(chr(10).join(lines).encode(errors='surrogateescape')).hexdigest()}"
    try:
        with Container(path) as archive:
            return f"zip-directory:{archive.directory_hash()}"
    except ContainerError:
        return sha256_of(path)


def version_of(*paths: str) -> str:
    """Return ETag and size of files in S3, and of all their parts; those on disks have a time stamp, and give none."""
    parts = [part for path in paths if is_in_s3(path) for part in parts_of(place_of(path))]
    return ", ".join(f"{stat.etag} {stat.st_size}" for stat in map(S3Path.stat, cast("list[S3Path]", parts)))
