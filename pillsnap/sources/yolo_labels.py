"""Read the labels of a YOLO data set: one text file a photograph, one line a pill."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pillsnap.pictures.decode import header_size
from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.progress import progress
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.checks import background, settled
from pillsnap.sources.containers.container import MAX_LABEL_BYTES, Container, Entry, MemberError
from pillsnap.sources.containers.text import decode_text
from pillsnap.sources.labels import (
    LabelError,
    LabelReading,
    Row,
    composed,
    decode_label,
    image_ids_of,
    parse_box,
    photo_pill,
)
from pillsnap.sources.yolo_data import Place, YoloData, read_yolo_data


@dataclass(slots=True)
class YoloLabel:
    """One line of a label file.

    Attributes:
        index: class index.
        box: centre x, centre y, width, height, in fractions of the photograph.
        repairs: reason and detail of each repair.
    """

    index: int
    box: tuple[float, float, float, float]
    repairs: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photograph's archive, member, image ID and label member."""

    archive: Archive
    member: str
    image_id: str
    label_member: str


def read_yolo_labels(archive: Archive) -> LabelReading:
    """Read the labels of one part of a YOLO data set; the photographs' headers are read for their size.

    The class name stands for the K-code, since such a set has none, and there are no EDI codes. Augmented copies of one
    photograph share the name before `.rf.`, which is the capture group; a name of AIHub's form gives AIHub's capture
    group and number of pills; any other photograph is a group of its own, since parts may number theirs alike. A
    photograph with one pill is `single`, the others are `combo`.

    Raises:
        SourceError: the data set's `data.yaml` cannot be used.
    """
    data = read_yolo_data(Path(archive.described_by))
    reading = LabelReading.of(archive)
    with Container(archive.photos) as photos, Container(archive.labels) as labels:
        reading.archives_read = 2
        entries = photos.entries()
        files = labels.entries() if archive.labels != archive.photos else entries
        label_of: dict[str, Entry] = {}
        for entry in (entry for entry in files if entry.name.lower().endswith(".txt")):
            stem = _stem(entry.name)
            label_of[entry.name if stem in label_of else stem] = entry
        first_by_id: dict[str, str] = {}
        wanted = _listed(archive, entries, reading) if archive.listing else list(filter(_is_photo, entries))
        image_ids = image_ids_of(archive, (entry.name for entry in wanted))
        for entry in progress(wanted, total=len(wanted), title=archive.name):
            reading.photos_read += 1
            image_id = image_ids[entry.name]
            if PurePosixPath(entry.name).name.startswith("._"):
                reading.note("skipped", "apple_double", member=entry.name)
            elif entry.reason:
                reading.note_entry(entry, "member")
            elif same := first_by_id.get(image_id.casefold()):
                reading.note("skipped", "photo_duplicated", member=entry.name, detail=same)
            elif label_stem(entry.name) not in label_of:
                reading.note("quarantined", "photo_without_label", member=entry.name)
            else:
                first_by_id[image_id.casefold()] = entry.name
                label = label_of.pop(label_stem(entry.name))
                _read_photo(_Photo(archive, entry.name, image_id, label.name), labels, data, reading)
        for entry in _unlisted(archive, entries, data) if archive.listing else ():
            reading.photos_read += 1
            hidden = PurePosixPath(entry.name).name.startswith("._")
            reading.note("skipped", "apple_double" if hidden else "photo_not_listed", member=entry.name)
        lone = [] if archive.listing else [entry for entry in label_of.values() if not _is_named(entry, archive)]
        orphans = [entry for entry in lone if _holds_labels(entry, labels)]
        for label in orphans:
            reading.labels_read += 1
            reading.note("quarantined", label.reason or "label_without_photo", label_member=label.name)
        texts = sum(entry.name.lower().endswith(".txt") for entry in files)
        reading.other_files = sum(not _is_photo(entry) for entry in entries) - texts
        reading.other_files += len(files) if files is not entries else 0
        reading.other_files += 0 if archive.listing else len(label_of) - len(orphans)
    return reading


def label_stem(member: str) -> str:
    """Return the path of a photograph's label below its container, without extension.

    ultralytics looks for it where the last folder `images` of the photograph's path is `labels`; where that folder is
    above the container, the container of the labels is another one.
    """
    *folders, name = PurePosixPath(_stem(member)).parts
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return "/".join([*folders, name])


def _stem(member: str) -> str:
    return composed(str(PurePosixPath(member).with_suffix("")))


def _is_photo(entry: Entry) -> bool:
    return PurePosixPath(entry.name).suffix.lower() in PHOTO_ENDINGS


def _listed(archive: Archive, entries: list[Entry], reading: LabelReading) -> list[Entry]:
    """Return the entries that the archive's listing names; quarantine names of photographs that are not there."""
    by_name = {entry.name: entry for entry in entries}
    found = []
    for name in dict.fromkeys(listed_photos(Path(archive.listing), Path(archive.photos))):
        if name in by_name:
            found.append(by_name[name])
        else:
            reading.photos_read += 1
            reading.note("quarantined", "photo_missing", member=name, detail=f"listed in {Path(archive.listing).name}")
    return found


def listed_photos(listing: Path, folder: Path) -> Iterator[str]:
    """Yield the photographs that a text file lists, as paths below the folder; of one elsewhere the absolute path, of
    one that is nowhere the line.

    A line is a path from the file (with a leading `./`), from the folder, or an absolute one; an absolute path of
    another machine is looked for below the folder by its longest ending that exists.
    """
    root = folder.resolve()
    for line in decode_text(listing.read_bytes())[0].splitlines():
        words = line.strip().replace("\\", "/")
        if not words:
            continue
        parts = PurePosixPath(words).parts
        starts = [listing.parent] if words.startswith("./") else [folder, listing.parent]
        candidates = [start / words for start in starts]
        candidates += [folder.joinpath(*parts[first:]) for first in range(1, len(parts))]
        found = next((path for path in candidates if path.is_file()), None)
        first = found or candidates[0]
        there = first.parent.resolve() / first.name  # a link itself, not what it leads to
        if there.is_relative_to(root):
            yield there.relative_to(root).as_posix()
        else:
            yield there.as_posix() if found else words


def common_folder(place: Place) -> Path:
    """Return the folder of the photographs; of listed ones the lowest that holds all that are there.

    Raises:
        SourceError: no folder but the file system's own holds them.
    """
    if not place.listing:
        return place.folder
    listed = map(PurePosixPath, listed_photos(Path(place.listing), place.folder))
    there = {name.parent for name in listed if (place.folder / name).is_file()}
    if any(folder.is_absolute() for folder in there):
        there = {PurePosixPath(place.folder.resolve() / folder) for folder in there}
    common = place.folder / os.path.commonpath(there) if there else place.folder
    if there and common == Path(common.anchor):
        raise SourceError(
            f"{place.listing}: lists photographs in {min(there)} and {max(there)}, which have no folder in common. "
            "Move them below one folder, or make a listing for each, and name both in data.yaml."
        )
    return common


def _unlisted(archive: Archive, entries: list[Entry], data: YoloData) -> list[Entry]:
    """Return the photographs that no part of the data set names or holds, each for the first listing whose folder it
    lies below; of those outside the data set nothing is said."""
    folders = [common_folder(place).resolve() for place in data.places]
    named: set[Path] = set()
    others: list[Path] = []
    first = True
    for place, folder in zip(data.places, folders, strict=True):
        if not place.listing:
            others.append(folder)
            continue
        named |= {folder / name for name in listed_photos(Path(place.listing), folder)}
        first = first and place.listing != archive.listing
        others += [folder] * first
    own = Path(archive.photos).resolve()
    roots = (data.file.parent.resolve(), Path(archive.listing).parent.resolve())
    return [
        entry
        for entry in filter(_is_photo, entries)
        if (path := own / entry.name) not in named
        and any(map(path.is_relative_to, roots))
        and not any(map(path.is_relative_to, others))
    ]


def _is_named(entry: Entry, archive: Archive) -> bool:
    """Whether a text file is that of the class names, which may be numbers."""
    return (Path(archive.labels) / entry.name).as_posix() in (archive.described_by, archive.named_by)


def _holds_labels(entry: Entry, labels: Container) -> bool:
    """Whether a text file beside no photograph holds labels, and not class names or a description."""
    try:
        text, _ = decode_text(labels.read(entry.name, limit=MAX_LABEL_BYTES))
        first = next((line for line in text.splitlines() if line.strip()), "")
        return not first or bool([float(word) for word in first.split()])
    except (OSError, ValueError):
        return bool(entry.reason)


def _read_photo(photo: _Photo, labels: Container, data: YoloData, reading: LabelReading) -> None:
    try:
        text, decoded = decode_label(labels.read(photo.label_member, limit=MAX_LABEL_BYTES))
    except (OSError, UnicodeDecodeError) as error:
        reading.labels_read += 1
        reason = error.reason if isinstance(error, MemberError) else "label_unparsable"
        detail = str(error)[:200]
        reading.note("quarantined", reason, member=photo.member, label_member=photo.label_member, detail=detail)
        reading.note("quarantined", "photo_without_usable_label", member=photo.member)
        return
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        reading.backgrounds.append(background(photo.archive, member=photo.member, image_id=photo.image_id))
        return
    for reason, detail in decoded:
        reading.note("repaired", reason, member=photo.member, label_member=photo.label_member, detail=detail)
    size = header_size(Path(photo.archive.photos) / photo.member)
    pills: list[Row] = []
    for number, line in enumerate(lines, start=1):
        reading.labels_read += 1
        # a pill's label is a line of the file, so that labels can be counted one by one
        place = {"member": photo.member, "label_member": f"{photo.label_member}:{number}"}
        try:
            label = parse_line(line, keypoints=data.keypoints)
            if label.index not in data.names:
                raise LabelError("class_out_of_range", f"class {label.index}, box {list(label.box)}")
        except LabelError as error:
            reading.note("quarantined", error.reason, **place, detail=error.detail)
            continue
        for reason, detail in label.repairs:
            reading.note("repaired", reason, **place, detail=detail)
        name = data.names[label.index]
        box = _in_pixels(label.box, size)
        given = place | {"image_id": photo.image_id, "k_code": name, "name": name}
        pills.append(photo_pill(photo.archive, **given, size=size, box=box))
    reading.pills += settled(pills, member=photo.member, image_id=photo.image_id, labels=len(lines), reading=reading)


def parse_line(line: str, *, keypoints: int = 0) -> YoloLabel:
    """Parse a line: class, then a box (4 numbers), an oriented box (8) or a polygon (6 or more, x and y in turn).

    Behind a box, `keypoints` numbers, a confidence, or a confidence and the number of a track are ignored, polygons and
    oriented boxes are taken by their extent; all are repairs. Numbers may have any notation.

    Raises:
        LabelError: `label_unparsable`, `class_out_of_range` (negative or no whole number), or a reason of `parse_box`.
    """
    words = line.replace(",", " ").split()
    try:
        first, *numbers = map(float, words)
    except ValueError as error:
        raise LabelError("label_unparsable", line[:200]) from error
    repairs = []
    if keypoints and len(numbers) == 4 + keypoints:
        repairs.append(("keypoints_ignored", f"{keypoints} numbers"))
        numbers = numbers[:4]
    # no coordinate is above 1
    elif len(numbers) == 6 and numbers[5] >= 2 and numbers[5].is_integer():
        repairs.append(("confidence_ignored", " ".join(words[-2:])[:200]))
        numbers = numbers[:4]
    if len(numbers) >= 5 and len(numbers) % 2:
        repairs.append(("confidence_ignored", words[-1][:200]))
        numbers = numbers[:-1]
    if len(numbers) >= 6:
        if not all(map(math.isfinite, numbers)):
            raise LabelError("bbox_malformed", line[:200])
        xs, ys = numbers[::2], numbers[1::2]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        repairs.append(("bbox_from_polygon", f"{len(xs)} corners"))
        numbers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    if not first.is_integer() or first < 0:
        raise LabelError("class_out_of_range", f"class {words[0]}, box {numbers}"[:200])
    return YoloLabel(int(first), parse_box(numbers), repairs)


def _in_pixels(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return x, y, w, h in pixels of a box that is centre and size in fractions of the photograph."""
    (cx, cy, w, h), (width, height) = box, size
    return (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height
