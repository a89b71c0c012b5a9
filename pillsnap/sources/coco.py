"""COCO JSON as a kind of source: one file of labels for many photographs."""

import re
from collections.abc import Iterator
from pathlib import Path

from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.sources.archives import Archive, NotRecognisedError, existing_root, fixed_part, named_part, unique_names
from pillsnap.sources.coco_labels import read_coco_file, read_coco_labels
from pillsnap.sources.containers.s3 import walk
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.settings import Source


def list_coco_archives(source: Source) -> list[Archive]:
    """List the label files below the source's root, an archive each.

    A file whose name, or whose folder's, holds `train`, `val`, `valid` or `test` is that part. Where no file is a
    validation part, or none a test part, training photographs are not fixed: the plan holds some out by groups.

    Raises:
        NotRecognisedError: there is no COCO file.
    """
    root = existing_root(source)
    found = [(file, named_part(file.relative_to(root))) for file in _coco_files(root)]
    if not found:
        there = sorted({path.suffix or path.name for path in root.rglob("*") if path.is_file()})[:8]
        raise NotRecognisedError(
            f"source.root = {source.root}: no COCO file below it (JSON with `images`, `annotations` and `categories`; "
            f"there are: {', '.join(there) or 'no files'}). Set it to the folder of an export in COCO format."
        )
    parts = {part for _, part in found}
    places = [(file.as_posix(), _photo_folder(file, root).as_posix(), part) for file, part in found]
    folders = [photos for _, photos, _ in places]
    names = _names([file.relative_to(root) for file, _ in found])
    return [
        Archive(
            name=name,
            photos=photos,
            labels=labels,
            domain="",
            part=fixed_part(part, parts),
            listing=labels if photos in folders[:number] else "",
            neighbours=() if photos in folders[:number] else _neighbours(number, places),
        )
        for number, (name, (labels, photos, part)) in enumerate(zip(names, places, strict=True))
    ]


def _neighbours(number: int, places: list[tuple[str, str, str]]) -> tuple[tuple[str, str, str], ...]:
    """Return the places of the other label files whose photographs lie in, around or below a file's folder."""
    own = Path(places[number][1])
    folders = [Path(photos) for _, photos, _ in places]
    return tuple(
        place
        for other, (place, folder) in enumerate(zip(places, folders, strict=True))
        if other != number and (folder.is_relative_to(own) or own.is_relative_to(folder))
    )


def _coco_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in walk(root):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(".json") and _looks_like_coco(Path(folder) / name):
                yield Path(folder) / name


def _looks_like_coco(file: Path) -> bool:
    """Whether the file's first or last bytes name one of the keys; labels of AIHub name them too, and hold one pill."""
    with file.open("rb") as stream:
        head = stream.read(2**16)
        stream.seek(max(0, file.stat().st_size - 2**16))
        both = head + stream.read()
    both = both.replace(b"\0", b"")  # UTF-16 and UTF-32 look the same without
    keys = sum(f'"{key}"'.encode() in both for key in ("images", "annotations", "categories"))
    return keys >= 2 or (keys == 1 and file.stat().st_size > 2**17)


def _names(files: list[Path]) -> list[str]:
    """Return an ASCII name for each file; without dots, which separate it from the photographs' names."""
    stems = (re.sub(r"\W*coco$|^_annotations.*", "", file.stem) for file in files)
    words = ("_".join(filter(None, (*file.parent.parts, stem))) for file, stem in zip(files, stems, strict=True))
    return unique_names(re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "coco" for name in words)


def _photo_folder(file: Path, root: Path) -> Path:
    """Return the label file's folder where it holds photographs, else the source's root."""
    beside = any(path.suffix.lower() in PHOTO_ENDINGS for path in file.parent.rglob("*"))
    return file.parent if beside else root


def count_coco_photos(source: Source) -> int:
    """Number of photographs that the label files name."""
    return sum(len(read_coco_file(Path(archive.labels)).images) for archive in list_coco_archives(source))


KIND = SourceKind(
    title="a COCO data set",
    photographs="real photographs, a COCO data set",
    banner=(
        "Real photographs: a COCO data set.",
        "The figures hold for its products, cameras and backgrounds. Respect its licence when you hand this page on.",
    ),
    card=(
        "Trained and measured on the real photographs of a COCO data set. The figures hold for its products, cameras "
        "and backgrounds. Respect its licence."
    ),
    list_archives=list_coco_archives,
    read_labels=read_coco_labels,
    count_photos=count_coco_photos,
)
