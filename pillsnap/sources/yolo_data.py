"""Read a YOLO data set's `data.yaml`: its class names, and where the photographs and labels of each part lie."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.sources.archives import PART_NAMES, NotRecognisedError, SourceError
from pillsnap.sources.containers.text import decode_text
from pillsnap.sources.labels import clean_text


@dataclass(frozen=True)
class Place:
    """Photographs of one part: those below a folder or, where `listing` is not empty, those that this file lists."""

    part: str
    folder: Path
    listing: str = ""


@dataclass(frozen=True)
class YoloData:
    """A `data.yaml`: class names by index, and where the parts that are there lie, in the order train, val, test.

    `warnings` are for whoever reads the file first; every archive reads it again. `keypoints` is how many numbers a
    line has for keypoints behind its box (`kpt_shape`), 0 without any. `named_by` is the text file that `names` names.
    """

    file: Path
    names: dict[int, str]
    places: list[Place]
    warnings: list[str]
    keypoints: int
    named_by: Path | None


_CLASSES = "classes.txt"
"""What LabelImg and Label Studio write in place of a `data.yaml`."""
_MOST_CLASSES = 100_000
"""More than there are drugs."""


def read_yolo_data(root: Path) -> YoloData:
    """Read the `data.yaml` of a data set.

    Paths are resolved as ultralytics does (relative to `path`, that to the file; a leading `../` may be one too many);
    what does not exist here, such as the absolute path of another machine, falls back to the usual layouts beside the
    file: `images/<part>` and `<part>/images`, with `valid` for `val`.

    Args:
        root: a folder with `data.yaml`, or with one YAML file of another name, in it or two folders below; or the file.
            In its place may be a `classes.txt`, a class a line: beside the folders `images` and `labels`, in `labels`,
            or beside photographs and their labels in one folder.

    Raises:
        SourceError: the file is missing or cannot be used, no part has a folder, two classes share a name.
    """
    file = _data_yaml(root)
    warnings: list[str] = []
    values = _load(file, warnings)
    places = _places(values, file, warnings)
    named_by = _names_file(values, file)
    names = _class_names(values | {"names": _listed_names(named_by)} if named_by else values, file)
    return YoloData(file, names, places, warnings, _keypoints(values, file), named_by)


def _data_yaml(root: Path) -> Path:
    """Find the file: `data.yaml`, else the YAML file with class names, in the folder or up to two folders below it."""
    if root.is_file():
        return root
    for below in ("", "*/", "*/*/"):
        files = sorted([*root.glob(f"{below}*.yaml"), *root.glob(f"{below}*.yml")])
        named = [file for file in files if file.stem == "data"] or [file for file in files if _lists_classes(file)]
        if len(named) == 1:
            return named[0]
        if named:
            there = ", ".join(file.relative_to(root).as_posix() for file in named[:5])
            raise SourceError(f"source.root = {root}: holds several YOLO data sets ({there}). Set it to one of them.")
    if classes := _classes_file(root):
        return classes
    raise NotRecognisedError(
        f"source.root = {root}: has no data.yaml. Set it to the folder of a YOLO data set; where one has labels alone, "
        "write a data.yaml of two lines there: `train: .` (the folder of the photographs) and `names: [first, second]`."
    )


def _classes_file(root: Path) -> Path | None:
    """The `classes.txt` of a data set without a YAML file."""
    halves = all((root / name).is_dir() for name in ("images", "labels"))
    photos = {file.stem for file in root.glob("*") if file.suffix.lower() in PHOTO_ENDINGS}
    beside = any(label.stem in photos for label in root.glob("*.txt"))
    places = [root / _CLASSES] * (halves or beside) + [root / "labels" / _CLASSES] * halves
    return next((place for place in places if place.is_file()), None)


def _lists_classes(file: Path) -> bool:
    """Whether a YAML file has `names` or `nc`; an overlay that lies beside the photographs has neither."""
    try:
        text, _ = decode_text(file.read_bytes())
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(r"^(names|nc)\s*:", text, re.MULTILINE) is not None


def _load(file: Path, warnings: list[str]) -> dict[str, Any]:
    """Load the YAML with every scalar as the text that is written there: `NO`, `1.10` and `052400011` are names.

    Some exporters append a description in free text to the file; from the first line that is not YAML on it is ignored,
    with a warning.
    """
    if file.name == _CLASSES:
        return {"names": _listed_names(file)}
    try:
        text, _ = decode_text(file.read_bytes())
        try:
            values = _load_texts(text)
        except yaml.MarkedYAMLError as error:
            mark = error.context_mark or error.problem_mark
            if not mark:
                raise
            warnings.append(f"{file}: no YAML from line {mark.line + 1} on; the lines before it are used")
            values = _load_texts("\n".join(text.splitlines()[: mark.line]))
        if not isinstance(values, dict):
            raise TypeError("it is no mapping")
    except (OSError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise SourceError(f"{file}: cannot be used ({error}). It must map `names` to the classes.") from error
    return values


def _names_file(values: dict[str, Any], file: Path) -> Path | None:
    """Find the text file that `names` names, as Darknet's `obj.names`: below the YAML file's folder, or in it."""
    given = values.get("names")
    if not isinstance(given, str) or not given:
        return None
    beside = file.parent / PurePosixPath(given.replace("\\", "/")).name
    places = [*_candidates(given.replace("\\", "/"), values, file), beside]
    return next((place for place in places if place.is_relative_to(_plain(file.parent)) and place.is_file()), None)


def _listed_names(file: Path) -> list[str]:
    """Return the class names of a text file, a class a line."""
    try:
        text, _ = decode_text(file.read_bytes())
        names = text.strip().splitlines()
        if blank := next((number for number, name in enumerate(names, start=1) if not name.strip()), 0):
            raise ValueError(f"line {blank} is empty, and it is not known whether it counts as a class")
    except (OSError, ValueError) as error:
        raise SourceError(f"{file}: cannot be used ({error}). It must have a class in each line.") from error
    if not names:
        raise SourceError(f"{file}: has no class. It must have a class in each line.")
    return names


def _load_texts(text: str) -> Any:
    """Load YAML into texts, lists and mappings; nothing else is constructed."""
    loader = yaml.BaseLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _class_names(values: dict[str, Any], file: Path) -> dict[int, str]:
    try:
        names = values.get("names") or [f"class_{index}" for index in range(_count(values.get("nc")))]
        if isinstance(names, str):
            raise TypeError(f"it is the text {names[:100]!r}, and no file of this name is below {file.parent}")
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        found = {int(index): _class_name(name) for index, name in pairs}
    except (TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{file}: has no usable `names` ({error}). It must list the classes, `names: [first, second]`, or name a "
            "text file beside it that has a class in each line."
        ) from error
    if not found:
        raise SourceError(f"{file}: has no `names`. It must list the classes.")
    first: dict[str, int] = {}
    for index, name in sorted(found.items()):
        if (other := first.setdefault(name, index)) != index:
            raise SourceError(
                f"{file}: classes {other} and {index} have one name, {name!r}. Give each class a name of its own, or "
                "merge the two in the labels."
            )
    return found


def _keypoints(values: dict[str, Any], file: Path) -> int:
    shape = values.get("kpt_shape") or ["0", "0"]
    try:
        keypoints, numbers = map(int, shape)
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"{file}: has no usable `kpt_shape` ({error}). It must be the keypoints' number and 2 or 3."
        ) from error
    return keypoints * numbers


def _count(value: Any) -> int:
    if not isinstance(value, str) or not value.isdecimal():
        return 0
    if len(value) > 9 or int(value) > _MOST_CLASSES:
        raise ValueError(f"`nc` is {value[:20]}, and at most {_MOST_CLASSES:,} can be numbered")
    return int(value)


def _class_name(value: Any) -> str:
    """Return a class name as every table shows it; aliases of YAML can make endless lists of a few bytes."""
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is not a class name")
    name = clean_text(value)
    if not name:
        raise ValueError("a class has an empty name")
    return name


def _places(values: dict[str, Any], file: Path, warnings: list[str]) -> list[Place]:
    """Return the places of the parts that are there; some folders of a part may be missing only beside other parts."""
    home = file.parent.parent if (file.parent.name, file.name) == ("labels", _CLASSES) else file.parent
    places: list[Place] = []
    gone: list[tuple[str, str]] = []
    for part, keys in PART_NAMES.items():
        given = next((values[key] for key in keys if values.get(key)), None)
        wanted = list(map(str, given if isinstance(given, list) else [given] if given else []))
        found = [_resolve(path, values, file, part) for path in wanted] or [_usual(home, part)]
        gone += [(part, path) for path, place in zip(wanted, found, strict=False) if place is None]
        places += [Place(part, *place) for place in dict.fromkeys(place for place in found if place)]
    if gone and (not places or any(place.part == gone[0][0] == "train" for place in places)):
        part, path = gone[0]
        raise SourceError(
            f"{file}: {part}: {path} is not there or has no photograph, nor are {part}/images or images/{part} beside "
            "the file. Fetch the photographs, or correct the path."
        )
    warnings += [f"{file}: {part}: {path} is not there, or has no photograph" for part, path in gone]
    if not places and (home / "images").is_dir():
        return [Place("train", home / "images")]
    if not places and file.name == _CLASSES:
        return [Place("train", home)]
    if not places:
        raise SourceError(
            f"{file}: names no folder of photographs, and there is no images, train/images or images/train beside it. "
            "Add `train:` with the folder's path."
        )
    return places


def _resolve(given: str, values: dict[str, Any], file: Path, part: str) -> tuple[Path, str] | None:
    """Return the folder, and the listing where a text file lists the photographs; `None` where no photograph is."""
    for path in _candidates(given.replace("\\", "/"), values, file):
        if _holds_photos(path):
            return path, ""
        if path.suffix.lower() == ".txt" and path.is_file() and path.read_bytes().strip():
            return file.parent, path.as_posix()
    return _usual(file.parent, part)


def _candidates(given: str, values: dict[str, Any], file: Path) -> Iterator[Path]:
    base = file.parent / str(values.get("path") or "").replace("\\", "/")
    for root in dict.fromkeys((base, file.parent)):
        yield _plain(root / given)
        if given.startswith("../"):
            yield _plain(root / given[3:])


def _usual(root: Path, part: str) -> tuple[Path, str] | None:
    for name in PART_NAMES[part]:
        for folder in (root / "images" / name, root / name / "images", root / name):
            if _holds_photos(folder):
                return folder, ""
    return None


def _holds_photos(folder: Path) -> bool:
    return any(file.suffix.lower() in PHOTO_ENDINGS for file in folder.rglob("*"))


def _plain(path: Path) -> Path:
    """Return the path without `..`, relative where it was: results name it, and are to be the same in every clone."""
    return Path(os.path.normpath(path))
