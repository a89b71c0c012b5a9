"""AIHub data set 576 as a kind of source: find its archives, however people keep them."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath

from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.aihub_name import COURSE_NAME
from pillsnap.sources.archives import Archive, NotRecognisedError, SourceError, existing_root, source_root
from pillsnap.sources.containers.container import Container, ContainerError
from pillsnap.sources.containers.parts import PartsError, parts_of
from pillsnap.sources.containers.s3 import is_in_s3, place_of, walk
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.settings import Source

_NAME = re.compile(r"([TV])([SL])[_ ]?(\d+)[_ ]?(단일|조합|single|combo)(?:\.zip|\.tar)?(?:\.part\d+)?", re.IGNORECASE)
_DOMAINS = {"단일": "single", "조합": "combo", "single": "single", "combo": "combo"}
_WHOLE = re.compile(r"(.+)\.(?:zip|tar)(?:\.part\d+)?", re.IGNORECASE)
_DRUG_FOLDER = re.compile(r"K-[0-9]{6}(?P<more>(?:-[0-9]{6})*)(?P<labels>_json)?")
"""What `unzip` leaves where it is run beside a zip: a folder for each drug or combination."""

_SEEN_FOLDERS = 1000
"""Folders that are looked into to say what was found in place of archives."""


@dataclass(frozen=True)
class _Half:
    """Photographs (`S`) or labels (`L`) of an archive: its name, the zip or folder, and the domain.

    The photographs of `test_images` have no labels (side empty).
    """

    name: str
    side: str
    path: Path
    domain: str


def list_aihub_archives(source: Source) -> list[Archive]:
    """Find every pair of zips or folders below the source's root, by their names.

    Zips may be unpacked into a folder of their name, or in place, so that the drugs' folders lie where the zip lay. Of
    several archives of one name, photographs go with the labels that lie nearest. The edition made for a course may be
    one zip, which may be the root itself.

    Raises:
        NotRecognisedError: there is no archive, or nothing but photographs that may be sorted into folders by class.
        SourceError: photographs without labels, or labels without photographs.
    """
    root = source_root(source)
    found = list(_course(root)) if root.is_file() else list(_halves(existing_root(source)))
    _refuse_unread(found)
    halves: dict[str, list[_Half]] = defaultdict(list)
    for half in found:
        halves[half.name].append(half)
    if not any(half.side for half in found):
        raise NotRecognisedError(
            f"source.root = {root}: no AIHub archive below it. Looked for: TS_1_단일.zip and TL_1_단일.zip, folders of "
            f"such names, folders K-000030 and K-000030_json, train_images and train_annotations (beside each "
            f"other or in one zip). Found: {_seen(root)}. Set it to the folder that holds 1.Training and "
            "2.Validation, or to that of the course's edition."
        )
    if not any(half.side == "L" for half in found) and all(map(_may_be_classes, found)):
        raise NotRecognisedError(str(_unpaired(found[0].name, found[0], [])))
    return [archive for name in sorted(halves) for archive in _pair(name, halves[name])]


def _refuse_unread(halves: Iterable[_Half]) -> None:
    """Raise `SourceError` where something that lies in S3 is no zip: only a zip tells where each of its files lies."""
    for half in halves:
        if is_in_s3(half.path) and not re.search(r"\.zip(\.part\d+)?$", half.path.name, re.IGNORECASE):
            raise SourceError(
                f"{half.path}: is no zip, and in S3 only zips are read in place. Keep AIHub's own zips there, as "
                "they were downloaded, or copy the data to a disk of this machine."
            )


def _halves(root: Path) -> Iterator[_Half]:
    for folder, folders, files in walk(root):
        place = place_of(folder)
        drugs = [match for name in folders if (match := _DRUG_FOLDER.fullmatch(name))]
        yield from _unpacked_in_place(place, drugs)
        halves = {name: half for name in sorted((*files, *folders)) if (half := _named(place / name))}
        whole = [half for half in halves.values() if _is_first(half.path)]
        others = [match for name in sorted(files) if name not in halves and (match := _WHOLE.fullmatch(name))]
        courses = [(match[1], place / match[0]) for match in others if _course_folders(place / match[0])]
        unpacked = {name for stem, path in courses for name in (stem, *_course_folders(path))}
        yield from (half for _, path in courses for half in _course(path))
        # of a zip and the folder that it was unpacked into, the zip, which sorts behind
        yield from {(half.name, half.side): half for half in whole if half.path.name not in unpacked}.values()
        inside = {match[0] for match in drugs} | halves.keys() | unpacked
        folders[:] = sorted(name for name in folders if name not in inside)


def _named(path: Path) -> _Half | None:
    """Return what a zip or folder of that name holds; `None` for any other."""
    if match := _NAME.fullmatch(unicodedata.normalize("NFC", path.name)):
        part, side, number, word = match.groups()
        domain = _DOMAINS[word.lower()]
        return _Half(f"{part.upper()}S_{number}_{domain}", side.upper(), path, domain)
    if match := COURSE_NAME.fullmatch(path.name):
        part, holds = match[1].lower(), match[2].lower()
        if part == "train":
            return _Half("train_images", "S" if holds == "images" else "L", path, "")
        return _Half("test_images", "", path, "") if holds == "images" else None
    return None


def _course(path: Path) -> list[_Half]:
    """Return both halves of the course's edition where a zip or tar holds it as a whole."""
    if not _course_folders(path) or not _is_first(path):
        return []
    return [_Half("train_images", side, path, "") for side in "SL"]


@lru_cache
def _course_folders(path: Path) -> frozenset[str]:
    """Return the outermost folders of the course's edition in a zip or tar; empty where that holds anything else.

    `train_images` and `train_annotations` are looked for there and in one folder. Only names are read.
    """
    try:
        with Container(path) as container:
            folders = [PurePosixPath(entry.name).parts[:-1] for entry in container.entries()]
    except ContainerError:
        return frozenset()
    inside = {folder.lower() for parts in folders for folder in parts[:2]}
    if not {"train_images", "train_annotations"} <= inside:
        return frozenset()
    return frozenset(parts[0] for parts in folders if parts)


def _is_first(path: Path) -> bool:
    """Whether a file is whole, or the first of its parts, which stands for all of them."""
    try:
        return parts_of(path)[0] == path
    except PartsError as error:
        raise SourceError(str(error)) from error


def _unpacked_in_place(folder: Path, drugs: list[re.Match[str]]) -> Iterator[_Half]:
    """Yield what lies directly in a folder: photographs, labels or both."""
    if not drugs or _NAME.fullmatch(unicodedata.normalize("NFC", folder.name)):
        return
    words = unicodedata.normalize("NFC", folder.as_posix()).lower()
    part = "V" if re.search(r"2\.validation|validation", words) else "T"
    domains = {"combo" if match["more"] else "single" for match in drugs}
    domain = domains.pop() if len(domains) == 1 else ""  # of a mixture, each photograph's name decides
    for side, there in (("S", [m for m in drugs if not m["labels"]]), ("L", [m for m in drugs if m["labels"]])):
        if there:
            yield _Half(f"{part}S_{domain or 'all'}", side, folder, domain)


def _may_be_classes(half: _Half) -> bool:
    """Whether photographs may be sorted by class: they lie in folders, none of a combination, and there is no label."""
    if _NAME.fullmatch(unicodedata.normalize("NFC", half.path.name)) or not half.path.is_dir():
        return False
    folders = [path.name for path in half.path.iterdir() if path.is_dir()]
    combos = any((match := _DRUG_FOLDER.fullmatch(name)) and match["more"] for name in folders)
    return bool(folders) and not combos and not any(path.suffix.lower() == ".json" for path in half.path.rglob("*"))


def _pair(name: str, halves: list[_Half]) -> Iterator[Archive]:
    """Yield an archive for each half of photographs with the half of labels that lies nearest.

    Raises:
        SourceError: a half has none of the other kind that is nearer to it than to another of its own.
    """
    photos, labels, alone = ([half for half in halves if half.side == side] for side in ("S", "L", ""))
    partner: dict[Path, _Half] = {}
    for label in labels:
        nearest = max(photos, key=lambda half: _shared(half.path, label.path), default=None)
        if nearest is None or max(labels, key=lambda half: _shared(half.path, nearest.path)) is not label:
            raise _unpaired(name, label, photos)
        partner[nearest.path] = label
    for number, half in enumerate(photos, start=1):
        if half.path not in partner:
            raise _unpaired(name, half, labels)
        yield Archive(
            name=name if len(photos) == 1 else f"{name}-{number}",
            photos=half.path.as_posix(),
            labels=partner[half.path].path.as_posix(),
            domain=half.domain,
            part="test" if name.startswith("V") else "",
        )
    for number, half in enumerate(alone, start=1):
        place = half.path.as_posix()
        yield Archive(name if len(alone) == 1 else f"{name}-{number}", place, place, domain="", part="")


def _shared(first: Path, second: Path) -> int:
    """Number of leading folders that two paths share."""
    return len(Path(os.path.commonpath([first, second])).parts)


def _unpaired(name: str, half: _Half, others: list[_Half]) -> SourceError:
    have, want = ("photographs", "labels") if half.side == "S" else ("labels", "photographs")
    pair = name if half.side == "L" else "train_annotations" if name == "train_images" else name.replace("S_", "L_")
    elsewhere = "".join(f" {other.path} belongs to another folder's archive of this name." for other in others)
    return SourceError(
        f"{half.path}: has {have}, but there is no archive of its {want} ({pair}, zip or folder) beside it below "
        f"source.root.{elsewhere} Fetch the missing {want}, or remove these {have}."
    )


def _seen(root: Path) -> str:
    """Describe the first folders and kinds of files below a folder, or in a zip or tar."""
    if root.is_file():
        return _inside(root)
    tree = list(islice(walk(root), _SEEN_FOLDERS))
    folders, outermost = tree[0][1:] if tree else ([], [])
    kinds: dict[str, int] = defaultdict(int)
    for _, _, files in tree:
        for name in files:
            kinds[Path(name).suffix.lower() or "no extension"] += 1
    most = sorted(kinds.items(), key=lambda item: -item[1])[:5]
    told = [f"folders {', '.join(sorted(folders)[:5])}"] if folders else []
    told += [f"{count} files {suffix}" for suffix, count in most]
    told += [f"{name}: {_inside(root / name)}" for name in sorted(outermost) if _WHOLE.fullmatch(name)][:3]
    return "; ".join(told) or "nothing"


def _inside(path: Path) -> str:
    """Describe what a zip or tar holds."""
    try:
        with Container(path) as container:
            outermost = sorted({PurePosixPath(entry.name).parts[0] for entry in container.entries() if entry.name})
    except ContainerError:
        return "cannot be opened as a zip or tar"
    return ", ".join(outermost[:5]) or "nothing"


KIND = SourceKind(
    title="AIHub data set 576",
    photographs="real photographs, AIHub data set 576: not to be handed on",
    banner=(
        "Real photographs: AIHub data set 576.",
        "This page contains some of them. AIHub's terms forbid handing them on: "
        "keep this file to people who have access.",
    ),
    card=(
        "Trained and measured on real photographs of AIHub data set 576. AIHub's terms forbid handing on the "
        "photographs. Ask there before you hand on what was trained on them."
    ),
    list_archives=list_aihub_archives,
    read_labels=read_aihub_labels,
    count_photos=lambda source: None,
    warns=True,
    k_coded=True,
    in_s3=True,
)
