"""Read the labels of an AIHub archive, one JSON per pill per photograph, and match them with its photographs."""

from collections import defaultdict
from dataclasses import dataclass

from pillsnap.progress import progress
from pillsnap.sources.aihub_json import AihubLabel, parse_label
from pillsnap.sources.aihub_name import is_test_image, parse_photo_name
from pillsnap.sources.archives import Archive
from pillsnap.sources.checks import check_drug, drop_conflicts
from pillsnap.sources.containers.container import MAX_LABEL_BYTES, Container, MemberError
from pillsnap.sources.labels import LabelError, LabelReading, Row, composed, parse_box

_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(slots=True)
class _Photo:
    """A photograph's member, and the facts in its file name."""

    member: str
    stem: str
    group: str
    expected_pills: int
    drugs: tuple[str, ...] | None


def read_aihub_labels(archive: Archive) -> LabelReading:
    """Read every label of one archive; no photograph is opened, only their names are listed."""
    reading = LabelReading(archive.name)
    photos = reading.open(archive.photos)
    labels = photos if archive.labels == archive.photos else reading.open(archive.labels)
    if photos and labels:
        with photos, labels:
            listed, refused = _list_photos(photos, reading)
            entries = labels.entries()
            labels.will_read((one.name for one in entries if one.name[-5:].lower() == ".json"), limit=MAX_LABEL_BYTES)
            for entry in progress(entries, total=len(entries), title=archive.name, unit="labels"):
                if not _is_label(entry.name, reading):
                    continue
                if entry.reason == "name_repeated":
                    reading.note_entry(entry, "label_member")
                else:
                    _read_label(archive, labels, entry.name, listed, refused, reading)
        if archive.photos == archive.labels:  # each file was looked at twice
            reading.other_files -= len(entries)
        _check_photos(listed, reading)
    elif photos or labels:
        _note_orphans(photos, labels, reading)
    return reading


def _list_photos(photos: Container, reading: LabelReading) -> tuple[dict[str, _Photo], set[str]]:
    """List photographs by the key under which labels find them, and the keys of those that are refused."""
    listed: dict[str, _Photo] = {}
    spelled: dict[str, str] = {}
    refused: set[str] = set()
    for entry in photos.entries():
        if not _is_photo(photos, entry.name, reading):
            continue
        key = photo_key(entry.name)
        if entry.reason:
            reading.note_entry(entry, "member")
            refused |= {key} if entry.reason != "name_repeated" else set()
        elif (same := spelled.setdefault(key.casefold(), key)) in listed:
            reading.note("skipped", "photo_duplicated", member=entry.name, detail=listed[same].member)
        else:
            listed[key] = _photo(entry.name, key)
    return listed, refused - listed.keys()


def _is_photo(photos: Container, name: str, reading: LabelReading) -> bool:
    """Whether a file is a photograph to use; side files are noted, other kinds counted."""
    if not name.lower().endswith(_ENDINGS):
        reading.other_files += 1
        return False
    reading.photos_read += 1
    base = name.rpartition("/")[2]
    if base.startswith("._"):
        reading.note("skipped", "apple_double", member=name)
    elif base.rpartition(".")[0].endswith("_index"):
        reading.note("skipped", "index_picture", member=name)
    elif is_test_image(photos.path, name):
        reading.note("skipped", "photo_of_test_images", member=name)
    else:
        return True
    return False


def _is_label(name: str, reading: LabelReading) -> bool:
    if name[-5:].lower() != ".json":
        reading.other_files += 1
        return False
    reading.labels_read += 1
    if name.rpartition("/")[2].startswith("._"):
        reading.note("skipped", "apple_double", label_member=name)
        return False
    return True


def photo_key(name: str) -> str:
    """Return a file's base name without its picture ending, in Unicode form NFC: the key that labels refer to."""
    base = composed(name.rpartition("/")[2])
    stem, dot, ending = base.rpartition(".")
    return stem if dot + ending.lower() in _ENDINGS else base


def _photo(member: str, stem: str) -> _Photo:
    """Parse a file name; one that is not of AIHub's form is a group of its own with one pill of any drug."""
    name = parse_photo_name(stem)
    if not name:
        return _Photo(member, stem, stem, 1, None)
    return _Photo(member, stem, name.capture_group, len(name.drugs), name.drugs)


def _read_label(
    archive: Archive, labels: Container, name: str, listed: dict[str, _Photo], refused: set[str], reading: LabelReading
) -> None:
    photo = listed.get(own_key := photo_key(name.removesuffix(name[-5:])))
    try:
        label = parse_label(labels.read(name, limit=MAX_LABEL_BYTES))
        photo = _photo_of(label, own_key, listed, refused)
        pill = _pill(archive, photo, name, label)
        reading.pills.append(pill)
        reading.looks[pill["k_code"], *label.look()] += 1
    except (LabelError, OSError) as error:
        reason, detail = "label_unparsable", str(error)[:200]
        if isinstance(error, LabelError | MemberError):
            reason, detail = error.reason, error.detail
        member = photo.member if photo and reason != "label_without_photo" else ""
        reading.note("quarantined", reason, member=member, label_member=name, detail=detail)
        return
    for reason, detail in label.repairs:
        reading.note("repaired", reason, member=photo.member, label_member=name, detail=detail)


def _photo_of(label: AihubLabel, own_key: str, listed: dict[str, _Photo], refused: set[str]) -> _Photo:
    """Return the photograph that a label refers to; `own_key` is the key of the label's own file name."""
    name = label.file_name
    key = photo_key(name) if name else own_key
    if key != own_key and key in listed and own_key in listed:
        raise LabelError("label_names_other_photo", ascii(name)[:200])
    if key in refused:
        raise LabelError("label_of_quarantined_photo", "")
    if key not in listed:
        raise LabelError("label_without_photo", ascii(name)[1:-1][:200])
    if not name:
        label.repairs.append(("file_name_missing", ""))
    return listed[key]


def _pill(archive: Archive, photo: _Photo, label_member: str, label: AihubLabel) -> Row:
    x, y, w, h = parse_box(label.annotation.get("bbox"))
    k_code = label.k_code()
    check_drug(k_code, photo.drugs)
    width, height = label.size()
    return {
        "image_id": f"{archive.name}.{photo.stem}",
        "archive": archive.name,
        "member": photo.member,
        "label_member": label_member,
        "domain": archive.domain or ("single" if photo.expected_pills == 1 else "combo"),
        "part": archive.part,
        "group": photo.group,
        "k_code": k_code,
        "edi_codes": label.edi_codes(),
        "drug_name": label.drug_name(),
        "expected_pills": photo.expected_pills,
        "width": width,
        "height": height,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
    }


def _check_photos(listed: dict[str, _Photo], reading: LabelReading) -> None:
    """Find boxes shared by two drugs, pills labelled twice and photographs without a usable label."""
    by_member: dict[str, list[Row]] = defaultdict(list)
    for pill in reading.pills:
        by_member[pill["member"]].append(pill)
    labelled = by_member.keys() | {issue["member"] for issue in reading.issues if issue["label_member"]}
    dropped: set[str] = set()
    for pills in by_member.values():
        if len(pills) > 1:
            dropped |= drop_conflicts(pills, reading, one_pill=pills[0]["domain"] == "single")
    if dropped:
        reading.pills = [pill for pill in reading.pills if pill["label_member"] not in dropped]
    usable = {pill["member"] for pill in reading.pills}
    for photo in listed.values():
        if photo.member not in usable:
            reason = "photo_without_usable_label" if photo.member in labelled else "photo_without_label"
            reading.note("quarantined", reason, member=photo.member)


def _note_orphans(photos: Container | None, labels: Container | None, reading: LabelReading) -> None:
    """Quarantine everything in the one archive of a pair whose other one cannot be opened."""
    if photos:
        with photos:
            for entry in photos.entries():
                if _is_photo(photos, entry.name, reading):
                    reading.note("quarantined", "archive_pair_unreadable", member=entry.name)
    if labels:
        with labels:
            for entry in labels.entries():
                if _is_label(entry.name, reading):
                    reading.note("quarantined", "archive_pair_unreadable", label_member=entry.name)
