"""Which raw archives a source has."""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from pillsnap.config.data import Source


class SourceError(ValueError):
    """Raw data that is not where, or not what, the configuration says."""


@dataclass(frozen=True)
class Archive:
    """One unit of raw data, and of work: a pair of zips (or folders) with photographs and labels.

    Attributes:
        name: ASCII name, unique in the source; it names results and log files.
        photos: path of the zip or folder with the photographs.
        labels: path of the zip or folder with the labels.
        domain: `single` or `combo`; empty where each photograph decides, by its name (AIHub) or its labels (YOLO).
        part: side of the split that the source itself fixes (`train`, `val`, `test`), empty where
            `plan_stage` divides.
    """

    name: str
    photos: str
    labels: str
    domain: str
    part: str


def list_archives(source: Source) -> dict[str, Archive]:
    """The source's archives by name, sorted; raises `SourceError` where the data is not found."""
    archives = {"synthetic": _synthetic, "aihub": _aihub, "yolo": _yolo}[source.kind](source)
    return {archive.name: archive for archive in sorted(archives, key=lambda archive: _natural(archive.name))}


def source_root(source: Source) -> Path:
    """The source's folder; `${NAME}` and `${NAME:-default}` are replaced from the environment."""
    pattern = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
    root = pattern.sub(lambda match: os.environ.get(match[1]) or match[2] or "", source.root)
    return Path(root).expanduser()


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _synthetic(source: Source) -> list[Archive]:
    # the drawing code is loaded for this source only: Snakemake lists archives each time it starts
    from pillsnap.sources.synthetic.make_synthetic_archive import list_synthetic_archives

    settings, root = source.synthetic, source_root(source)
    return [
        Archive(
            name=f"{'T' if archive.part == 'training' else 'V'}S_{archive.number}_{archive.domain}",
            photos=(root / archive.photos).as_posix(),
            labels=(root / archive.labels).as_posix(),
            domain=archive.domain,
            part="" if archive.part == "training" else "test",
        )
        for archive in list_synthetic_archives(
            single_archives=settings.single_archives, combo_archives=settings.combo_archives
        )
    ]


_AIHUB_NAME = re.compile(r"^([TV])([SL])[_ ](\d+)[_ ](단일|조합|single|combo)(?i:\.zip)?$")
_COMPETITION_NAME = re.compile(r"^train_(images|annotations)(?i:\.zip)?$")
_DOMAINS = {"단일": "single", "조합": "combo", "single": "single", "combo": "combo"}


def _aihub(source: Source) -> list[Archive]:
    root = _existing_root(source)
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
    """Which archive a zip or folder of that name belongs to, and whether it holds its photographs `S` or labels `L`.

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
            "folder) below source.root. Fetch it, or take this one away."
        )
    return Archive(
        name=name,
        photos=sides["S"].as_posix(),
        labels=sides["L"].as_posix(),
        domain=name.rsplit("_", 1)[1] if name != "train_images" else "",
        part="test" if name.startswith("V") else "",
    )


def _yolo(source: Source) -> list[Archive]:
    root = _existing_root(source)
    if not (root / "data.yaml").is_file():
        raise SourceError(f"source.root = {root}: has no data.yaml. Set it to the folder of a YOLO data set.")
    archives = [
        Archive(
            name=part,
            photos=(root / "images" / part).as_posix(),
            labels=(root / "labels" / part).as_posix(),
            domain="",
            part=part,
        )
        for part in ("train", "val", "test")
    ]
    missing = [folder for a in archives for folder in (a.photos, a.labels) if not Path(folder).is_dir()]
    if missing:
        raise SourceError(
            f"source.root = {root}: there is no folder {', '.join(missing)}. A YOLO data set has images/ and labels/ "
            "with train, val and test each: move some photographs there with their labels."
        )
    return archives


def _existing_root(source: Source) -> Path:
    root = source_root(source)
    if not root.is_dir():
        raise SourceError(
            f"source.root = {source.root}: there is no folder {root}. Mount or fetch the data, or correct "
            "source.root in the configuration."
        )
    return root
