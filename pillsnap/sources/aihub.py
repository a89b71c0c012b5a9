"""AIHub data set 576 as a kind of source: find its archives."""

import os
import re
import unicodedata
from pathlib import Path

from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.archives import Archive, SourceError, existing_root
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.settings import Source

_AIHUB_NAME = re.compile(r"^([TV])([SL])[_ ](\d+)[_ ](단일|조합|single|combo)(?i:\.zip)?$")
_COMPETITION_NAME = re.compile(r"^train_(images|annotations)(?i:\.zip)?$")
_DOMAINS = {"단일": "single", "조합": "combo", "single": "single", "combo": "combo"}


def list_aihub_archives(source: Source) -> list[Archive]:
    """Find every pair of zips or folders below the source's root, by their names; raises `SourceError`."""
    root = existing_root(source)
    found: dict[str, dict[str, Path]] = {}
    for folder, folders, files in os.walk(root):
        for name in sorted(files + folders):
            if place := _aihub_place(name):
                archive, side = place
                found.setdefault(archive, {})[side] = Path(folder) / name
        # sorted: where two folders hold an archive of one name, the same one wins on every file system
        folders[:] = sorted(name for name in folders if not _aihub_place(name))
    if not found:
        raise SourceError(
            f"source.root = {root}: no AIHub archive below it (TS_1_단일.zip, TL_1_단일.zip, … or folders of these "
            "names, or train_images beside train_annotations). Set source.root to the folder that holds 1.Training "
            "and 2.Validation."
        )
    return [_aihub_pair(name, sides) for name, sides in found.items()]


def _aihub_place(name: str) -> tuple[str, str] | None:
    """Return the archive of a zip or folder by its name, and `S` for photographs or `L` for labels; `None` for others.

    `train_images` and `train_annotations` are those of a derived edition of the data, made for a course.
    """
    if match := _AIHUB_NAME.match(unicodedata.normalize("NFC", name)):
        part, side, number, domain = match.groups()
        return f"{part}S_{number}_{_DOMAINS[domain]}", side
    if match := _COMPETITION_NAME.match(name):
        return "train_images", "S" if match[1] == "images" else "L"
    return None


def _aihub_pair(name: str, sides: dict[str, Path]) -> Archive:
    if set(sides) != {"S", "L"}:
        have, want = ("photographs", "labels") if "S" in sides else ("labels", "photographs")
        pair = name.replace("S_", "L_") if "S" in sides else name
        missing = "train_annotations" if pair == "train_images" and "S" in sides else pair
        raise SourceError(
            f"{next(iter(sides.values()))}: has {have}, but there is no archive of its {want} ({missing}, zip or "
            "folder) below source.root. Fetch it, or remove this one."
        )
    return Archive(
        name=name,
        photos=sides["S"].as_posix(),
        labels=sides["L"].as_posix(),
        domain=name.rsplit("_", 1)[1] if name != "train_images" else "",
        part="test" if name.startswith("V") else "",
    )


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
)
