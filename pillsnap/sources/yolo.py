"""YOLO data sets as a kind of source: the archives that a `data.yaml` names."""

import logging
from pathlib import Path

from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.sources.archives import Archive, existing_root, fixed_part
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.settings import Source
from pillsnap.sources.yolo_data import read_yolo_data
from pillsnap.sources.yolo_labels import common_folder, read_yolo_labels

log = logging.getLogger(__name__)


def list_yolo_archives(source: Source) -> list[Archive]:
    """List the data set's parts, an archive for each folder or listing that its `data.yaml` names.

    Where it has no validation or no test part, training photographs are not fixed: the plan holds some out by groups.

    Raises:
        SourceError: `data.yaml` is missing or cannot be used, or names photographs that are not there.
    """
    data = read_yolo_data(existing_root(source))
    for warning in data.warnings:
        log.warning(warning)
    parts = {place.part for place in data.places}
    archives = []
    for part in sorted(parts):
        places = [place for place in data.places if place.part == part]
        for number, place in enumerate(places, start=1):
            name = part if len(places) == 1 else f"{part}_{number}"
            folder = common_folder(place)
            archives.append(
                Archive(
                    name=name,
                    photos=folder.as_posix(),
                    labels=_label_folder(folder).as_posix(),
                    domain="",
                    part=fixed_part(part, parts),
                    described_by=data.file.as_posix(),
                    named_by=data.named_by.as_posix() if data.named_by else "",
                    listing=place.listing,
                )
            )
    return archives


def _label_folder(photos: Path) -> Path:
    """Return the folder where ultralytics looks for the labels, the photographs' own where there is none."""
    folders = list(photos.parts)
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return folder if (folder := Path(*folders)).is_dir() else photos


def count_yolo_photos(source: Source) -> int:
    """Number of photographs, by the endings of their names."""
    folders = {Path(archive.photos) for archive in list_yolo_archives(source)}
    return sum(file.suffix.lower() in PHOTO_ENDINGS for folder in folders for file in folder.rglob("*"))


KIND = SourceKind(
    title="a YOLO data set",
    photographs="real photographs, a YOLO data set",
    banner=(
        "Real photographs: a YOLO data set.",
        "The figures hold for its products, cameras and backgrounds. Respect its licence when you hand this page on.",
    ),
    card=(
        "Trained and measured on the real photographs of a YOLO data set. The figures hold for its products, cameras "
        "and backgrounds. Respect its licence."
    ),
    list_archives=list_yolo_archives,
    read_labels=read_yolo_labels,
    count_photos=count_yolo_photos,
    box_fractions=True,
)
