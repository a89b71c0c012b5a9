"""Check that a plan's raw archives are present, and unchanged since they were indexed."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pillsnap.preflight.findings import Finding, finding
from pillsnap.sources.archives import Archive, on_disk
from pillsnap.sources.containers.s3 import is_in_s3, place_of


def check_archives(named: Collection[str], archives: Mapping[str, Archive], index: Path) -> Finding:
    """Refuse archives that are missing or empty, and those that are newer than their index.

    Args:
        named: names of the archives that the plan takes photographs from.
        archives: the source's archives by name.
        index: folder of `index_archive`.
    """
    missing = sorted(name for name in named if name not in archives or not _is_present(place_of(archives[name].photos)))
    changed = [name for name in sorted(named) if name not in missing and _changed(archives[name], index)]
    if missing:
        text = f"{len(missing)} of {len(named)} archives of photographs are missing or empty: {_first(missing)}"
        return finding("raw archives", text, refused=True, cure="Fetch or mount them again, or correct source.root")
    text = f"archives of photographs: {len(named)}, none newer than its index"
    if changed:
        text = f"{len(changed)} of {len(named)} archives changed since they were indexed: {_first(changed)}"
    return finding("raw archives", text, refused=bool(changed), cure="Read their labels again: -R index_archive")


def _is_present(photos: Path) -> bool:
    if is_in_s3(photos):
        return photos.stat().st_size > 0
    return photos.is_dir() or (photos.is_file() and photos.stat().st_size > 0)


def _changed(archive: Archive, index: Path) -> bool:
    """Whether photographs or labels are newer than the index. Of a folder, the folders directly below count too: their
    time changes when a file is added or removed. What lies in S3 is compared by its ETag, which the rules do."""
    table = index / f"{archive.name}.parquet"
    if not table.is_file():
        return False
    paths = [path for path in map(Path, on_disk(archive.photos, archive.labels)) if path.exists()]
    inside = [folder for path in paths if path.is_dir() for folder in path.iterdir() if folder.is_dir()]
    return any(path.stat().st_mtime_ns > table.stat().st_mtime_ns for path in [*paths, *inside])


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
