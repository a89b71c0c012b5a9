"""Folders of one class each as a kind of source: photographs that somebody has sorted, whose pills have no boxes."""

import io
import logging
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pillsnap.pictures.decode import header_size
from pillsnap.pictures.drawn_mark import DRAWN_BY, is_drawn
from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.progress import progress
from pillsnap.sources.archives import (
    PART_OF,
    Archive,
    NotRecognisedError,
    SourceError,
    existing_root,
    fixed_part,
    unique_names,
)
from pillsnap.sources.checks import settled
from pillsnap.sources.containers.container import Container, Entry
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.labels import LabelReading, Row, clean_text, image_ids_of, photo_pill
from pillsnap.sources.settings import Source

log = logging.getLogger(__name__)

_LABELLED = {"images", "labels", "annotations"}
"""Folders of data sets whose labels lie in files."""
_LABEL_FILES = {".txt", ".json", ".xml"}
_TOOLS_OWN = re.compile(r"[.@].*|__MACOSX")
"""Folders that tools leave for themselves: `.ipynb_checkpoints`, `.thumbnails`, `@eaDir`."""
_PART = re.compile(rf"({'|'.join(PART_OF)})(?:[-_ ]?(?:images|photos|data|set))?", re.IGNORECASE)
_K_CODE = re.compile(r"(?i)k[-_ ]?([0-9]{6})")


def list_folder_archives(source: Source) -> list[Archive]:
    """List the zips in the source's folder, an archive each; without any, the folder is the one archive, `photos`.

    Raises:
        NotRecognisedError: there is no zip and no folder of photographs, or the data set's labels lie in files,
            zipped or not.
        SourceError: folders of photographs lie beside zips.
    """
    root = existing_root(source)
    places = sorted(path for path in root.iterdir() if path.suffix.lower() == ".zip") or [root]
    if places == [root]:
        _check_folders(root, source.root)
    else:
        _check_zips(root, source.root, places)
    stems = [re.sub(r"[^A-Za-z0-9_-]+", "_", place.stem).strip("_") if place != root else "" for place in places]
    names = unique_names(
        stem if stem and stems.count(stem) == 1 else f"photos_{n}" for n, stem in enumerate(stems, start=1)
    )
    parts = [_part(place.stem) if place != root else "" for place in places]
    return [
        Archive(
            name=name if len(places) > 1 else stem or "photos",
            photos=place.as_posix(),
            labels=place.as_posix(),
            domain="",
            part=fixed_part(part, parts),
            boxes=source.box,
        )
        for name, stem, place, part in zip(names, stems, places, parts, strict=True)
    ]


def _check_folders(root: Path, named: str) -> None:
    inside = [PurePosixPath(path.relative_to(root).as_posix()) for path in root.rglob("*") if path.parent != root]
    if not any(path.suffix.lower() in PHOTO_ENDINGS for path in inside):
        raise NotRecognisedError(
            f"source.root = {named}: it has no folder with photographs. Set it to a folder that has one folder of "
            "photographs for each class."
        )
    if why := _why_no_classes(inside):
        raise NotRecognisedError(
            f"source.root = {named}: {why}. Set it to a folder that has one folder of photographs for each class; "
            "where photographs have labels, export the data set as COCO or YOLO."
        )


def _check_zips(root: Path, named: str, zips: Sequence[Path]) -> None:
    below = (PurePosixPath(path.relative_to(root).as_posix()) for path in root.rglob("*") if path.parent != root)
    if photo := next((path for path in below if _is_photo(path) and not path.name.startswith("._")), None):
        raise SourceError(
            f"source.root = {named}: has zips, and folders of photographs beside them, such as {photo.parent}. Only "
            "one of the two is read: keep the zips, or the folders, in a folder of their own."
        )
    for path in zips:
        if why := _why_no_classes(_members(path)):
            raise NotRecognisedError(f"{path}: {why}. Unpack it: of labelled data sets, AIHub's alone is read in zips.")


def _members(path: Path) -> list[PurePosixPath]:
    """Names in a zip, of none of one that cannot be opened: reading it notes why."""
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    return []


def _why_no_classes(inside: Sequence[PurePosixPath]) -> str:
    """Why photographs in folders do not lie in one for each class; empty where they may."""
    first = next((path for path in inside if path.suffix.lower() in PHOTO_ENDINGS), None)
    if first and (_has_label_files(first.parts[:-1], inside) or _are_labelled(inside)):
        return f"{first} lies in a data set with label files"
    folders = {path.parent.name for path in inside if _is_photo(path)}
    if folders and all(map(_part, folders)):
        named = ", ".join(sorted(folders))
        return f"its photographs lie in folders that are named as parts ({named}), and in none of a class"
    return ""


def _has_label_files(folders: Sequence[str], inside: Iterable[PurePosixPath]) -> bool:
    """Whether photographs in `images` or the like lie in no folder of a class there, or have files of labels."""
    after = [place for place, name in enumerate(folders, start=1) if name.lower() in _LABELLED]
    if not after:
        return False
    classes = [name for name in folders[after[-1] :] if not _part(name)]
    return not classes or any(path.suffix.lower() in _LABEL_FILES for path in inside)


def _are_labelled(inside: Sequence[PurePosixPath]) -> bool:
    """Whether most photographs have a label file of their name, beside them or elsewhere."""
    photos = [path.stem for path in inside if path.suffix.lower() in PHOTO_ENDINGS]
    labels = {path.stem for path in inside if path.suffix.lower() in _LABEL_FILES}
    return 2 * sum(stem in labels for stem in photos) > len(photos)


def _part(name: str) -> str:
    """The part that a folder or zip is named after, as `train`, `Train-Set` and `train_images` are; or empty."""
    match = _PART.fullmatch(name)
    return PART_OF[match[1].lower()] if match else ""


def read_folder_labels(archive: Archive) -> LabelReading:
    """Read an archive's photographs, each labelled by its folder; headers are read for sizes, no pixel is decoded.

    Folders that all photographs share are passed, and so are `images` and those of the parts (`train`, `val`, `valid`,
    `test`, also as `train_images`); the next one is the class, whatever lies below it. A folder named by a K-code is
    that drug; any other name, in Unicode NFC, stands for the K-code. Pictures that `pillsnap predict` has drawn are no
    photographs, which a warning tells. The box is the whole photograph, which
    `prepare_archive` replaces where a detector is to find the pill.

    Raises:
        SourceError: two folders have one name but for its spelling, or folders of parts lie beside others.
    """
    reading = LabelReading.of(archive)
    container = reading.open(archive.photos)
    if container is None:
        return reading
    with container:
        entries = container.entries()
        pictures = [entry for entry in entries if _is_photo(PurePosixPath(entry.name))]
        photos = [entry for entry in pictures if not is_drawn(container.path / entry.name)]  # in zips, none is
        if drawn := len(pictures) - len(photos):
            log.warning("%s: left out, since %s: %d picture%s", archive.photos, DRAWN_BY, drawn, "s" * (drawn > 1))
        reading.other_files = len(entries) - len(photos)
        places = _classes((entry.name for entry in photos if not _is_hidden(entry)), archive.photos)
        _check_spelling(places, archive.photos)
        parts = {part for part, _ in places.values()}
        image_ids = image_ids_of(archive, (entry.name for entry in photos))
        first_by_id: dict[str, str] = {}
        for entry in progress(photos, total=len(photos), title=archive.name):
            reading.photos_read += 1
            image_id = image_ids[entry.name]
            if _is_hidden(entry):
                reading.note("skipped", "apple_double", member=entry.name)
            elif entry.reason:
                reading.note_entry(entry, "member")
            elif entry.name not in places:
                reading.note("quarantined", "photo_without_label", member=entry.name)
            elif (same := first_by_id.setdefault(image_id.casefold(), entry.name)) != entry.name:
                reading.note("skipped", "photo_duplicated", member=entry.name, detail=same)
            else:
                part, folder = places[entry.name]
                reading.labels_read += 1
                pill = _pill(archive, image_id, entry.name, folder, _size(container, entry.name))
                pill["part"] = archive.part or fixed_part(part, parts)
                reading.pills += settled([pill], member=entry.name, image_id=image_id, labels=1, reading=reading)
    return reading


def _is_photo(path: PurePosixPath) -> bool:
    """Whether the name is a photograph's, or a side file's, and no tool keeps it for itself."""
    own = any(_TOOLS_OWN.fullmatch(folder) for folder in path.parts[:-1]) and not path.name.startswith("._")
    return path.suffix.lower() in PHOTO_ENDINGS and not own


def _is_hidden(entry: Entry) -> bool:
    return PurePosixPath(entry.name).name.startswith("._")


def _classes(members: Iterable[str], where: str) -> dict[str, tuple[str, str]]:
    """Return part and class folder of each photograph that lies in the folder of a class, at the depth of most; raise
    `SourceError` where folders of parts lie beside others."""
    folders = {member: list(PurePosixPath(member).parts[:-1]) for member in members}
    folders = {
        member: [name for name in parts if name.lower() not in _LABELLED] or parts
        for member, parts in folders.items()
        if parts
    }
    while _most_lie_deeper(folders) and len({parts[0] for parts in folders.values()}) == 1:
        if _part(next(iter(folders.values()))[0]):
            break
        folders = {member: parts[1:] for member, parts in folders.items() if len(parts) > 1}
    if _most_lie_deeper(folders) and all(_part(parts[0]) for parts in folders.values()):
        return {member: (_part(parts[0]), parts[1]) for member, parts in folders.items() if len(parts) > 1}
    tops = {parts[0] for parts in folders.values()}
    if _most_lie_deeper(folders) and (named := sorted(filter(_part, tops))):
        others = ", ".join(sorted(tops.difference(named))[:5])
        raise SourceError(
            f"{where}: {', '.join(named)} are named as parts, and beside them there are {others}: nobody knows whether "
            "these are classes. Leave either parts, with a folder for each class in each, or classes alone."
        )
    return {member: ("", parts[0]) for member, parts in folders.items()}


def _most_lie_deeper(folders: Mapping[str, Sequence[str]]) -> bool:
    """Whether most photographs lie below a further folder: one beside the classes' folders has no class."""
    return 2 * sum(len(parts) > 1 for parts in folders.values()) > len(folders)


def _check_spelling(places: Mapping[str, tuple[str, str]], where: str) -> None:
    """Raise `SourceError` where folders differ in case or, within a part, in Unicode form only."""
    first: dict[tuple[str, ...], str] = {}
    for part, folder in sorted(set(places.values())):
        name = _class_name(folder)
        for key, spelled in (((name.casefold(),), name), ((name, part), folder)):
            if (other := first.setdefault(key, spelled)) != spelled:
                raise SourceError(
                    f"{where}: two classes have one name but for its spelling, {other!a} and {spelled!a}. "
                    "Give each class a name of its own, or merge the folders."
                )


def _class_name(folder: str) -> str:
    return unicodedata.normalize("NFC", clean_text(folder))


def _size(container: Container, member: str) -> tuple[int, int]:
    if container.path.is_dir():
        return header_size(container.path / member)
    try:
        return header_size(io.BytesIO(container.read(member)))
    except OSError:
        return 1, 1  # `prepare_archive` finds out what is wrong with it


def _pill(archive: Archive, image_id: str, member: str, folder: str, size: tuple[int, int]) -> Row:
    """Return a pill, whose box is the whole photograph; its folder is its label."""
    name = _class_name(folder)
    code = _K_CODE.fullmatch(unicodedata.normalize("NFKC", name))  # digits of full width, too
    k_code = f"K-{code[1]}" if code else name
    box = 0.0, 0.0, *map(float, size)
    place = {"image_id": image_id, "member": member, "label_member": member}
    return photo_pill(archive, **place, k_code=k_code, name=name, size=size, box=box)


def count_folder_photos(source: Source) -> int | None:
    """Number of photographs, by the endings of their names; `None` where they lie in zips."""
    folders = [Path(archive.photos) for archive in list_folder_archives(source)]
    if not all(folder.is_dir() for folder in folders):
        return None
    return sum(file.suffix.lower() in PHOTO_ENDINGS for folder in folders for file in folder.rglob("*"))


KIND = SourceKind(
    title="folders of one class each",
    photographs="real photographs, sorted into folders",
    banner=(
        "Real photographs: a data set sorted into folders.",
        "The figures hold for its products, cameras and backgrounds. Respect its licence when you hand this page on.",
    ),
    card=(
        "Trained and measured on a data set of real photographs, sorted into folders. The figures hold for its "
        "products, cameras and backgrounds. Respect its licence."
    ),
    list_archives=list_folder_archives,
    read_labels=read_folder_labels,
    count_photos=count_folder_photos,
)
