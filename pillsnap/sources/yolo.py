"""YOLO data sets as a kind of source: one text file a photograph, one line a pill."""

import logging
from pathlib import Path, PurePosixPath

import yaml

from pillsnap.pictures.decode import PictureError, photo_size
from pillsnap.progress import progress
from pillsnap.sources.archives import Archive, SourceError, existing_root
from pillsnap.sources.container import MAX_LABEL_BYTES, Container, MemberError
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.labels import LabelError, LabelReading, Row, clean_text, parse_box
from pillsnap.sources.settings import Source

log = logging.getLogger(__name__)

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def list_yolo_archives(source: Source) -> list[Archive]:
    """List the three parts of the data set; raises `SourceError` where one is missing."""
    root = existing_root(source)
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


def read_yolo_labels(archive: Archive) -> LabelReading:
    """Read one part of a YOLO data set.

    The class name stands for the K-code, since such a set has none, and there are no EDI codes. Augmented copies of one
    photograph share the name before `.rf.`, which is the capture group; without it a photograph is a group of its own,
    since parts may number theirs alike. A photograph with one box is `single`, the others are `combo`. The photographs'
    headers are read for their size.
    """
    names = class_names(Path(archive.photos).parents[1] / "data.yaml")
    reading = LabelReading(archive.name)
    with Container(archive.photos) as photos, Container(archive.labels) as labels:
        reading.archives_read = 2
        files = labels.entries()
        label_of = {_key(entry.name): entry for entry in files if entry.name.endswith(".txt")}
        reading.other_files = len(files) - len(label_of)
        entries = photos.entries()
        first_by_id: dict[str, str] = {}
        for entry in progress(entries, total=len(entries), title=archive.name):
            if PurePosixPath(entry.name).suffix.lower() not in PHOTO_SUFFIXES:
                reading.other_files += 1
                continue
            reading.photos_read += 1
            key = _key(entry.name)
            if PurePosixPath(entry.name).name.startswith("._"):
                reading.note("skipped", "apple_double", member=entry.name)
            elif entry.reason:
                reading.note_entry(entry, "member")
            elif key not in label_of:
                reading.note("quarantined", "photo_without_label", member=entry.name)
            elif (same := first_by_id.setdefault(_image_id(archive, entry.name).casefold(), entry.name)) != entry.name:
                reading.note("skipped", "photo_duplicated", member=entry.name, detail=same)
            else:
                _read_photo(archive, entry.name, label_of.pop(key).name, labels, names, reading)
        for label in label_of.values():
            reading.labels_read += 1
            reading.note("quarantined", label.reason or "label_without_photo", label_member=label.name)
    return reading


def class_names(data_yaml: Path) -> list[str]:
    """Read the class names of a `data.yaml`, a list or a mapping from index; raises `SourceError`.

    Some exporters append a description in free text to the file; from the first line that is not YAML on it is
    ignored, with a warning.
    """
    try:
        text = data_yaml.read_text(encoding="utf-8")
        try:
            names = yaml.safe_load(text)["names"]
        except yaml.MarkedYAMLError as error:
            mark = error.context_mark or error.problem_mark
            if not mark:
                raise
            log.warning("%s: not YAML from line %d on; only the lines before it are used", data_yaml, mark.line + 1)
            names = yaml.safe_load("\n".join(text.splitlines()[: mark.line]))["names"]
        return [_class_name(names[index]) for index in range(len(names))]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SourceError(f"{data_yaml}: has no usable `names` ({error}). It must list the classes.") from error


def _class_name(value: object) -> str:
    """Return a name as text for tables. Lists are refused: YAML aliases make huge ones of a few bytes."""
    if not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__} is not a class name")
    return clean_text(str(value))


def _image_id(archive: Archive, member: str) -> str:
    return f"{archive.name}.{_key(member).replace('/', '.')}"


def _key(member: str) -> str:
    """Return the key of a photograph and its label: the path below `images/<part>` or `labels/<part>`, no ending."""
    return str(PurePosixPath(member).with_suffix(""))


def _read_photo(
    archive: Archive, member: str, label_member: str, labels: Container, names: list[str], reading: LabelReading
) -> None:
    try:
        data = labels.read(label_member, limit=MAX_LABEL_BYTES)
    except OSError as error:
        reading.labels_read += 1
        reason = error.reason if isinstance(error, MemberError) else "label_unparsable"
        reading.note("quarantined", reason, member=member, label_member=label_member, detail=str(error)[:200])
        reading.note("quarantined", "photo_without_usable_label", member=member)
        return
    lines = [line for line in data.decode("utf-8", errors="replace").splitlines() if line.strip()]
    size = _size(Path(archive.photos) / member)
    pills = []
    for number, line in enumerate(lines, start=1):
        reading.labels_read += 1
        # a pill's label is a line of the file, so that labels can be counted one by one
        label_line = f"{label_member}:{number}"
        try:
            name, box = _parse_line(line, names, size)
        except LabelError as error:
            reading.note("quarantined", error.reason, member=member, label_member=label_line, detail=error.detail)
            continue
        pills.append(_pill(archive, member, label_line, name, box, size, len(lines)))
    if not pills:
        reason = "photo_without_usable_label" if lines else "photo_without_label"
        reading.note("quarantined", reason, member=member)
    reading.pills.extend(pills)


def _size(photo: Path) -> tuple[int, int]:
    """Read width and height from the header, turned as EXIF says; a damaged one fails later, when it is decoded."""
    try:
        return photo_size(photo)
    except (PictureError, OSError):
        return 1, 1


def _parse_line(line: str, names: list[str], size: tuple[int, int]) -> tuple[str, tuple[float, ...]]:
    try:
        index, *numbers = line.split()
        name = names[int(index)]
        values = [float(number) for number in numbers]
    except (ValueError, IndexError) as error:
        raise LabelError("label_unparsable", line[:200]) from error
    cx, cy, w, h = parse_box(values)
    width, height = size
    return name, ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)


def _pill(
    archive: Archive,
    member: str,
    label_member: str,
    name: str,
    box: tuple[float, ...],
    size: tuple[int, int],
    pills: int,
) -> Row:
    image_id = _image_id(archive, member)
    original, copied, _ = PurePosixPath(member).stem.partition(".rf.")
    return {
        "image_id": image_id,
        "archive": archive.name,
        "member": member,
        "label_member": label_member,
        "domain": "single" if pills == 1 else "combo",
        "part": archive.part,
        "group": original if copied else image_id,
        "k_code": name,
        "edi_codes": "",
        "drug_name": name,
        "expected_pills": pills,
        "width": size[0],
        "height": size[1],
        **dict(zip("xywh", box, strict=True)),
    }


def count_yolo_photos(source: Source) -> int:
    """Count photographs by the endings of their names."""
    folders = [Path(archive.photos) for archive in list_yolo_archives(source)]
    return sum(file.suffix.lower() in PHOTO_SUFFIXES for folder in folders for file in folder.rglob("*"))


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
