"""Labels of AIHub data set 576: one JSON per pill per photograph."""

import json
import re
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

from pillsnap.labels import LabelError, LabelReading, Row, parse_box
from pillsnap.sources.archives import Archive
from pillsnap.sources.container import Container


def read_aihub_labels(archive: Archive) -> LabelReading:
    """Read every label of one archive; no photograph is opened, only their names are listed."""
    reading = LabelReading(archive.name)
    with Container(archive.photos) as photos, Container(archive.labels) as labels:
        members = _photo_members(photos, reading)
        for label_member in labels.names():
            if PurePosixPath(label_member).suffix.lower() == ".json":
                _read_label(archive, labels, label_member, members, reading)
    _check_photos(members, reading)
    return reading


def _photo_members(photos: Container, reading: LabelReading) -> dict[str, str]:
    """Photograph members by file name; what is no photograph is noted as skipped."""
    members = {}
    for member in photos.names():
        name = PurePosixPath(member).name
        if PurePosixPath(name).suffix.lower() != ".png":
            continue
        reading.photos_read += 1
        if name.startswith("._"):
            reading.note("skipped", "apple_double", member=member)
        elif name.endswith("_index.png"):
            reading.note("skipped", "index_picture", member=member)
        elif name in members:
            reading.note("skipped", "photo_duplicated", member=member, detail=members[name])
        else:
            members[name] = member
    return members


def _read_label(
    archive: Archive, labels: Container, label_member: str, members: dict[str, str], reading: LabelReading
) -> None:
    reading.labels_read += 1
    if PurePosixPath(label_member).name.startswith("._"):
        reading.note("skipped", "apple_double", label_member=label_member)
        return
    member = members.get(PurePosixPath(label_member).stem + ".png", "")
    try:
        image, annotation, repaired = _parse(_read(labels, label_member))
        member = members.get(str(image.get("file_name") or ""), "")
        if not member:
            raise LabelError("label_without_photo", str(image.get("file_name")))
        reading.pills.append(_pill(archive, member, label_member, image, annotation))
    except LabelError as error:
        reading.note("quarantined", error.reason, member=member, label_member=label_member, detail=error.detail)
        return
    if repaired:
        reading.note("repaired", "label_cp949", member=member, label_member=label_member)


def _read(labels: Container, label_member: str) -> bytes:
    try:
        return labels.read(label_member)
    except OSError as error:
        raise LabelError("label_unparsable", str(error)[:200]) from error


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The label's image and annotation objects, and whether it had to be read as cp949."""
    repaired = False
    try:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text, repaired = data.decode("cp949"), True
        label = json.loads(text)
        image = label["images"][0]
        annotation = (label.get("annotations") or [{}])[0]
        if not isinstance(image, dict) or not isinstance(annotation, dict):
            raise TypeError("images[0] and annotations[0] must be objects")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise LabelError("label_unparsable", f"{type(error).__name__}: {error}"[:200]) from error
    return image, annotation, repaired


def _pill(archive: Archive, member: str, label_member: str, image: Row, annotation: Row) -> Row:
    x, y, w, h = parse_box(annotation.get("bbox"))
    k_code = image.get("dl_mapping_code") or image.get("drug_N")
    width, height = image.get("width"), image.get("height")
    if not (k_code and isinstance(k_code, str) and isinstance(width, int) and isinstance(height, int)):
        raise LabelError("label_field_missing", f"dl_mapping_code {k_code!r}, width {width!r}, height {height!r}")
    stem = PurePosixPath(member).stem
    return {
        "image_id": f"{archive.name}.{stem}",
        "archive": archive.name,
        "member": member,
        "label_member": label_member,
        "domain": archive.domain,
        "part": archive.part,
        "group": capture_group(stem, archive.domain),
        "k_code": k_code,
        "edi_codes": str(image.get("di_edi_code") or ""),
        "drug_name": str(image.get("dl_name") or ""),
        "expected_pills": expected_pills(stem),
        "width": width,
        "height": height,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
    }


def capture_group(stem: str, domain: str) -> str:
    """Photographs that must stay on one side of a split: all longitudes of a view, or all of a combination."""
    parts = stem.split("_")
    if domain == "combo":
        return parts[0]
    # K-code, background, side, light, latitude; the status, longitude and size are left out
    return "_".join([parts[0], *parts[2:6]])


def expected_pills(stem: str) -> int:
    """How many pills the photograph's name counts: `K-1-2-3_…` has three."""
    return max(1, stem.split("_")[0].count("-"))


def counted_k_codes(stem: str) -> list[str]:
    """The K-codes that a combination's name counts: `K-000001-000002_…` has two; empty for any other name."""
    named = re.match(r"K((?:-\d+){2,})(?:_|$)", stem)
    return [f"K-{number}" for number in named[1][1:].split("-")] if named else []


def _check_photos(members: dict[str, str], reading: LabelReading) -> None:
    """Find boxes shared by two drugs, pills labelled twice and photographs without a usable label."""
    by_member: dict[str, list[Row]] = defaultdict(list)
    for pill in reading.pills:
        by_member[pill["member"]].append(pill)
    dropped: set[str] = set()
    for pills in by_member.values():
        dropped |= _conflicts(pills, reading)
    reading.pills = [pill for pill in reading.pills if pill["label_member"] not in dropped]
    usable = {pill["member"] for pill in reading.pills}
    labelled = usable | {issue["member"] for issue in reading.issues if issue["label_member"]}
    for member in members.values():
        if member not in usable:
            reason = "photo_without_usable_label" if member in labelled else "photo_without_label"
            reading.note("quarantined", reason, member=member)


def _conflicts(pills: list[Row], reading: LabelReading) -> set[str]:
    """Label members to drop: all of a box that two drugs share, all but the first of a pill labelled twice."""
    dropped = set()
    boxes: dict[tuple[float, ...], list[Row]] = defaultdict(list)
    for pill in pills:
        boxes[pill["x"], pill["y"], pill["w"], pill["h"]].append(pill)
    for box, same in boxes.items():
        shared = len({pill["k_code"] for pill in same}) > 1
        for pill in same if shared else same[1:]:
            reason = "bbox_shared" if shared else "label_duplicated"
            names = {"member": pill["member"], "label_member": pill["label_member"]}
            reading.note("quarantined", reason, **names, detail=f"{list(box)}")
            dropped.add(pill["label_member"])
    return dropped
