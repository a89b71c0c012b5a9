"""Read the labels of a COCO file and match them with the photographs beside it."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from pillsnap.pictures.endings import PHOTO_ENDINGS
from pillsnap.progress import progress
from pillsnap.sources.aihub_name import parse_photo_name
from pillsnap.sources.archives import Archive, SourceError, named_part
from pillsnap.sources.checks import background, settled
from pillsnap.sources.containers.container import Container, Entry
from pillsnap.sources.containers.text import decode_text
from pillsnap.sources.labels import (
    LabelError,
    LabelReading,
    Row,
    box_scale,
    clean_text,
    composed,
    image_ids_of,
    parse_box,
    photo_pill,
    shown,
)
from pillsnap.tables.classes import UNLABELLED, is_k_code

Json = dict[str, Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class CocoFile:
    """A COCO file: images and their annotations by image ID, category names by ID."""

    images: dict[Any, Json]
    annotations: dict[Any, list[Json]]
    names: dict[Any, str]
    drugs: dict[Any, str] = field(default_factory=dict)
    """K-code by category ID, where every photograph of the category has a name of AIHub's form that holds it."""

    @cached_property
    def why_no_background(self) -> str:
        """Why images without annotations may show pills all the same; empty where they show none."""
        if not self.annotations:
            return "the file has no annotation at all"
        lost = [number for number in self.annotations.keys() - self.images.keys() if number is not None]
        return f"annotations of image {shown(min(lost, key=str))}, which the file does not list" if lost else ""


def read_coco_file(file: Path) -> CocoFile:
    """Read a COCO file.

    Raises:
        SourceError: it is not COCO JSON, one ID is of two images or categories, or two categories that are used have
            one name.
    """
    try:
        value = _loads(file.read_bytes())
        images = {image["id"]: image for image in value["images"] if isinstance(image["file_name"], str)}
        names = {category["id"]: clean_text(str(category["name"])) for category in value["categories"]}
        named = {
            kind: [(one["id"], str(one[key])) for one in value[kind]]
            for kind, key in (("images", "file_name"), ("categories", "name"))
        }
        image_ids, category_ids = ({_text(number): number for number in known} for known in (images, names))
        annotations: dict[Any, list[Json]] = defaultdict(list)
        numbers: set[Any] = set()
        for place, given in enumerate(value["annotations"]):
            one = given if isinstance(given, dict) else {"unparsable": shown(given)}
            number = _scalar(one.get("id"))
            # two annotations of one id, or without any, are told apart by their place
            one["label"] = f"annotation {number}" if number not in numbers | {None} else f"annotation at place {place}"
            numbers.add(number)
            one["category_id"] = _known(one.get("category_id"), names, category_ids)
            one["image_id"] = _known(one.get("image_id"), images, image_ids)
            annotations[_scalar(one["image_id"])].append(one)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(f"{file}: is not COCO JSON ({type(error).__name__}: {error}). Export it again.") from error
    for kind, pairs in named.items():
        _check_ids(file, kind, pairs)
    if annotations and not annotations.keys() & images.keys():
        told, ids = (", ".join(shown(number) for number in islice(known, 3)) for known in (annotations, images))
        raise SourceError(
            f"{file}: none of its annotations names an image of it: `image_id` is {told}, and `images` have the ids "
            f"{ids or 'of none'}. Each `image_id` must be the `id` of an image. Export it again."
        )
    used = {_scalar(one.get("category_id")) for found in annotations.values() for one in found}
    first: dict[str, Any] = {}
    for number in sorted(used & names.keys(), key=str):
        if (other := first.setdefault(names[number], number)) != number:
            raise SourceError(
                f"{file}: categories {other} and {number} have one name, {names[number]!r}. Give each its own."
            )
    return CocoFile(images, annotations, names, _drugs(images, annotations))


def _check_ids(file: Path, kind: str, named: Iterable[tuple[Any, str]]) -> None:
    """Raise `SourceError` where two images or categories of different names have one ID, as in joined exports."""
    first: dict[Any, str] = {}
    for number, name in named:
        if (other := first.setdefault(number, name)) != name:
            raise SourceError(
                f"{file}: two {kind} have the id {shown(number)}, {other!r} and {name!r}, so that nobody knows whose "
                "the annotations are. Export them again, or merge the files with a tool that gives new ids."
            )


def _loads(data: bytes) -> Any:
    """Parse JSON of any encoding; orjson, the fastest, knows UTF-8 alone, without a byte-order mark."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(decode_text(data)[0])


def _known(value: Any, known: Mapping[Any, Any], by_text: Mapping[str, Any]) -> Any:
    """Return the ID that a reference means: exporters write `1` here and `"1"` there. A strange one stays as it is."""
    return value if _scalar(value) in known else by_text.get(_text(_scalar(value)), value)


def _text(number: Any) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _scalar(value: Any) -> Any:
    """Return a key of images or categories; what cannot be one stands for none."""
    return value if isinstance(value, str | int | float) else None


def _drugs(images: dict[Any, Json], annotations: dict[Any, list[Json]]) -> dict[Any, str]:
    """Find the K-code of each category: AIHub's editions number categories by it, or by it minus one (`dl_idx`)."""
    possible: dict[Any, set[str]] = {}
    for image_id, found in annotations.items():
        name = parse_photo_name(PurePosixPath(images[image_id]["file_name"]).stem) if image_id in images else None
        for category in {_scalar(one.get("category_id")) for one in found}:
            numbers = (category, category + 1) if type(category) is int else ()
            codes = {f"K-{number:06d}" for number in numbers} & set(name.drugs if name else ())
            possible[category] = possible.get(category, codes) & codes
    by_number = all(f"K-{category:06d}" in codes for category, codes in possible.items() if codes)
    return {category: f"K-{category:06d}" if by_number else max(codes) for category, codes in possible.items() if codes}


def read_coco_labels(archive: Archive) -> LabelReading:
    """Read the labels of one COCO file.

    A photograph that the file lists several times, as merged exports do, has the labels of all these images.
    A photograph that no file names is counted once: by the first file of the lowest folder around it.
    A category's K-code is told by the photographs' names where they have AIHub's form; else its name stands for it.
    Polygons and run-length masks without a box are taken by their extent. A photograph without annotations is a
    background, unless `why_no_background` says that it may show pills.

    Raises:
        SourceError: the file is not COCO JSON.
    """
    coco = read_coco_file(Path(archive.labels))
    reading = LabelReading.of(archive)
    with Container(archive.photos) as photos:
        reading.archives_read = 2
        entries = photos.entries()
        pictures = list(filter(_is_picture, entries))
        reading.other_files = len(entries) - len(pictures)
        part = archive.part or named_part(Path(archive.labels).relative_to(archive.photos))
        places = _Places(pictures, part)
        image_ids = image_ids_of(archive, (entry.name for entry in pictures))
        used: dict[str, str] = {}
        listed = _listed(coco)
        taken = places.take(listed)
        for parts, ids in progress(listed.items(), total=len(listed), title=archive.name):
            image, entry = coco.images[ids[0]], taken.get(parts)
            found = [one for image_id in ids for one in coco.annotations.get(image_id, [])]
            reading.labels_read += len(found)
            if entry and len(ids) > 1:
                numbers = ", ".join(map(shown, ids))
                reading.note("repaired", "photo_listed_again", member=entry.name, detail=f"images {numbers}"[:200])
            if entry is None or entry.reason:
                _note_absent(image, entry, found, reading)
            elif same := used.get(image_ids[entry.name].casefold()):
                _note_duplicate(entry.name, same, found, reading)
            else:
                used[image_ids[entry.name].casefold()] = entry.name
                reading.photos_read += 1
                photo = _Photo(archive, entry.name, image_ids[entry.name], [coco.images[number] for number in ids])
                _read_photo(photo, found, coco, reading)
        for entry in [] if archive.listing else _unnamed(places.rest(), archive):
            reading.photos_read += 1
            if PurePosixPath(entry.name).name.startswith("._"):
                reading.note("skipped", "apple_double", member=entry.name)
            elif entry.reason:
                reading.note_entry(entry, "member")
            else:
                reading.note("quarantined", "photo_without_label", member=entry.name)
    for one in (one for image_id, found in coco.annotations.items() if image_id not in coco.images for one in found):
        reading.labels_read += 1
        try:
            _check_annotation(one)
            raise LabelError("label_without_photo", f"image {shown(one['image_id'])}")
        except LabelError as error:
            reading.note("quarantined", error.reason, label_member=one["label"], detail=error.detail)
    return reading


def _is_picture(entry: Entry) -> bool:
    return PurePosixPath(entry.name).suffix.lower() in PHOTO_ENDINGS


def _listed(coco: CocoFile) -> dict[tuple[str, ...], list[Any]]:
    """IDs of the images by the parts of the path that they name."""
    listed: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for image_id, image in sorted(coco.images.items(), key=str):
        listed[_parts(image["file_name"])].append(image_id)
    return listed


def _unnamed(rest: list[Entry], archive: Archive) -> list[Entry]:
    """Return those of the photographs that no neighbour of the archive names, or counts."""
    theirs: set[str] = set()
    for labels, folder, part in archive.neighbours if rest else ():
        with Container(folder) as photos:
            pictures = list(filter(_is_picture, photos.entries()))
        lower = folder != archive.photos and Path(folder).is_relative_to(archive.photos)
        named = _Places(pictures, part).take(_listed(read_coco_file(Path(labels)))).values()
        theirs |= {f"{folder}/{entry.name}" for entry in (pictures if lower else named)}
    return [entry for entry in rest if f"{archive.photos}/{entry.name}" not in theirs]


def _check_annotation(one: Json) -> None:
    """Raise `LabelError` where an annotation cannot be read, or names no image."""
    if "unparsable" in one:
        raise LabelError("label_unparsable", one["unparsable"])
    if _scalar(one.get("image_id")) is None:
        raise LabelError("label_field_missing", f"image_id {shown(one.get('image_id'))}")


class _Places:
    """Photographs by their path, and by ever shorter endings of it, as exporters and people move folders."""

    def __init__(self, entries: list[Entry], part: str) -> None:
        self._left: dict[str, Entry] = {}
        for entry in entries:
            name = composed(entry.name)
            self._left[entry.name if name in self._left else name] = entry
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for name in self._left:
            self._by_base[PurePosixPath(name).name].append(name)
        self._part = part

    def take(self, paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Entry]:
        """Return the entries of the photographs that labels name, each once, by the parts of the path.

        A path that is there comes first, then one of which nothing but outer folders is missing, then shorter endings:
        else an ending would take the photograph that another label names in full.
        """
        taken: dict[tuple[str, ...], Entry] = {}
        for find in (self._same, self._whole, self._ending):
            for parts in paths:
                if parts not in taken and (name := find(parts)):
                    taken[parts] = self._left.pop(name)
        return taken

    def rest(self) -> list[Entry]:
        """Return the entries that nobody took."""
        return list(self._left.values())

    def _same(self, parts: tuple[str, ...]) -> str:
        name = "/".join(parts)
        return name if name in self._left else ""

    def _whole(self, parts: tuple[str, ...]) -> str:
        whole = "/".join(parts)
        same = [name for name in self._by_base.get(PurePosixPath(whole).name, []) if f"/{name}".endswith(f"/{whole}")]
        return same[0] if len(same) == 1 and same[0] in self._left and not self._of_other_part(same[0], parts) else ""

    def _ending(self, parts: tuple[str, ...]) -> str:
        return next(filter(None, (self._whole(parts[start:]) for start in range(1, len(parts)))), "")

    def _of_other_part(self, name: str, ending: tuple[str, ...]) -> bool:
        """Whether folders that the label does not name itself are of another part than the label file."""
        part = named_part(PurePosixPath(*PurePosixPath(name).parts[: -len(ending)]))
        return bool(self._part and part and part != self._part)


def _parts(file_name: str) -> tuple[str, ...]:
    """Return the parts of a path that a label names."""
    return PurePosixPath(composed(file_name).replace("\\", "/")).parts


def _note_absent(image: Json, entry: Entry | None, found: list[Json], reading: LabelReading) -> None:
    if entry:
        reading.photos_read += 1
        reading.note_entry(entry, "member")
    reason = "label_of_quarantined_photo" if entry else "label_without_photo"
    for one in found:
        reading.note("quarantined", reason, label_member=one["label"], detail=image["file_name"][:200])


def _note_duplicate(member: str, same: str, found: list[Json], reading: LabelReading) -> None:
    reading.photos_read += 1
    for label_member in ("", *(one["label"] for one in found)):
        reading.note("skipped", "photo_duplicated", member=member, label_member=label_member, detail=same)


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photograph's archive, member and ID, and the images as which the file lists it."""

    archive: Archive
    member: str
    image_id: str
    images: list[Json]


def _read_photo(photo: _Photo, found: list[Json], coco: CocoFile, reading: LabelReading) -> None:
    """Read a photograph's labels: the annotations that were found of its images."""
    member, image_id = photo.member, photo.image_id
    pills: list[Row] = []
    proposals = 0
    for one in found:
        place = {"member": member, "label_member": one["label"]}
        try:
            category = _scalar(one.get("category_id"))
            name = coco.names.get(category, "")
            if name == UNLABELLED:
                proposals += 1
                raise LabelError("label_is_proposal", "")
            if not name:
                given = f"category {shown(one.get('category_id'))}"[:100]
                raise LabelError("class_out_of_range", f"{given}, box {shown(one.get('bbox'))}"[:200])
            box, repairs = _box(one)
            if one.get("iscrowd") not in (0, 1, None):
                repairs.append(("iscrowd_ignored", shown(one["iscrowd"])))
        except LabelError as error:
            outcome = "skipped" if error.reason == "label_is_proposal" else "quarantined"
            reading.note(outcome, error.reason, **place, detail=error.detail)
            continue
        for reason, detail in repairs:
            reading.note("repaired", reason, **place, detail=detail)
        k_code = name if is_k_code(name) else coco.drugs.get(category, name)
        size, box = _in_first_size(box, coco.images[one["image_id"]], photo.images[0])
        told = place | {"image_id": image_id, "k_code": k_code, "name": name}
        pills.append(photo_pill(photo.archive, **told, size=size, box=box))
    # of a photograph that is not labelled whole, nobody knows how many more pills it shows
    labels = len(found) - proposals + any(image.get("fully_labelled") is False for image in photo.images)
    if not found and (why := coco.why_no_background):
        reading.note("quarantined", "photo_without_label", member=member, detail=why)
        return
    if not found:
        reading.backgrounds.append(background(photo.archive, member=member, image_id=image_id))
        return
    reading.pills += settled(pills, member=member, image_id=image_id, labels=labels, reading=reading)


def _box(annotation: Json) -> tuple[Box, list[tuple[str, str]]]:
    """Return the box x, y, w, h in pixels, and repairs; raises `LabelError`."""
    if annotation.get("bbox"):
        box, angle = parse_box(annotation["bbox"]), _rotation(annotation.get("attributes"))
        if angle % 180:
            return _turned(box, angle), [("bbox_from_polygon", f"turned by {angle:g} degrees")]
        return box, []
    shape = annotation.get("segmentation")
    try:
        if isinstance(shape, dict):
            return parse_box(_mask_extent(shape)), [("bbox_from_polygon", "run-length mask")]
        points = [float(value) for polygon in shape or [] for value in polygon]
    except (TypeError, ValueError) as error:
        raise LabelError("bbox_malformed", shown(shape)) from error
    if len(points) < 6 or not all(map(math.isfinite, points)):
        raise LabelError("bbox_missing", shown(annotation.get("bbox")))
    xs, ys = points[::2], points[1::2]
    box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    return parse_box(list(box)), [("bbox_from_polygon", f"{len(xs)} corners")]


def _rotation(attributes: Any) -> float:
    """Return CVAT's angle of a box in degrees, as a number or a text; raises `LabelError` for one that is no number."""
    given = attributes.get("rotation") if isinstance(attributes, dict) else None
    if given is None:
        return 0.0
    try:
        angle = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else math.nan
    except (ValueError, OverflowError):
        angle = math.nan
    if not math.isfinite(angle):
        raise LabelError("bbox_malformed", f"rotation {shown(given)}"[:200])
    return angle


def _turned(box: Box, degrees: float) -> Box:
    """Return the extent of a box that is turned about its centre, as CVAT gives it."""
    x, y, w, h = box
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = w * cosine + h * sine, w * sine + h * cosine
    return x + (w - width) / 2, y + (h - height) / 2, width, height


def _mask_extent(shape: Json) -> list[float]:
    """Return the box around a run-length mask, compressed or not."""
    from pycocotools import mask

    height, width = shape["size"]
    encoded = mask.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape
    return [float(side) for side in mask.toBbox(encoded)]


def _image_size(image: Json) -> tuple[int, int]:
    """Width and height that the file gives an image, 0 where it gives none."""
    width, height = (
        side if type(side) is int and 0 < side < 10**6 else 0 for side in (image.get("width"), image.get("height"))
    )
    return width, height


def _in_first_size(box: Box, image: Json, first: Json) -> tuple[tuple[int, int], Box]:
    """Return the size in which a box is given, and the box: the first listing's where one factor leads to it, so that
    boxes of all listings can be compared."""
    size, target = _image_size(image), _image_size(first)
    scale = box_scale(size, target) if min(target) else None
    if scale in (None, (1, 1)):
        return size, box
    (across, down), (x, y, w, h) = scale, box
    return target, (x * across, y * down, w * across, h * down)
