"""Result of reading an archive's labels, and the checks that every box must pass."""

import hashlib
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pillsnap.sources.archives import Archive
from pillsnap.sources.class_table import NamedDrug, class_key, read_class_table
from pillsnap.sources.containers.container import Container, ContainerError, Entry
from pillsnap.sources.containers.text import decode_text
from pillsnap.tables.classes import is_k_code

Row = dict[str, Any]

SMALLEST_SIDE = 4
"""Pixels: a narrower or lower box shows no pill."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS = re.compile(f"{_CONTROL.pattern}+")


class LabelError(ValueError):
    """A label that cannot be used; `reason` is one of the quarantine's reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass
class LabelReading:
    """Rows of the pill and issue tables of one archive, and counts of containers, photos, labels and other files.

    `classes` is the source's table of class names, if it has one, and `unlisted` what the labels name beside it;
    `backgrounds` are rows of the table of photographs without a pill.
    `looks` counts the labels by K-code and their description of form, shape, colours and imprints;
    `directories` holds `Container.directory_hash` by path.
    """

    archive: str
    classes: dict[str, NamedDrug] | None = None
    unlisted: set[str] = field(default_factory=set)
    pills: list[Row] = field(default_factory=list)
    backgrounds: list[Row] = field(default_factory=list)
    looks: Counter[tuple[str, ...]] = field(default_factory=Counter)
    issues: list[Row] = field(default_factory=list)
    directories: dict[str, str] = field(default_factory=dict)
    archives_read: int = 0
    photos_read: int = 0
    labels_read: int = 0
    other_files: int = 0

    @classmethod
    def of(cls, archive: Archive) -> "LabelReading":
        """Begin to read an archive, with the table of class names that its source has."""
        return cls(archive.name, read_class_table(Path(archive.classes)) if archive.classes else None)

    def named(self, pill: Row) -> Row:
        """Return a pill, whose K-code is the name of its class, with the drug that the table of class names tells."""
        name = pill["k_code"]
        if self.classes is None or is_k_code(name):
            return pill
        if drug := self.classes.get(class_key(name)):
            return pill | asdict(drug)
        self.unlisted.add(name)
        return pill

    def note(self, outcome: str, reason: str, *, member: str = "", label_member: str = "", detail: str = "") -> None:
        """Add a row to the issues; one without member and label member is about the archive itself."""
        self.issues.append(
            {
                "archive": self.archive,
                "member": member,
                "label_member": label_member,
                "outcome": outcome,
                "reason": reason,
                "detail": _CONTROL.sub("?", detail),
            }
        )

    def note_entry(self, entry: Entry, kind: str) -> None:
        """Note a file that its container refuses; `kind` is `member` or `label_member`."""
        outcome = "skipped" if entry.reason == "name_repeated" else "quarantined"
        self.note(outcome, entry.reason, **{kind: entry.name}, detail=entry.detail)

    def reasons(self) -> str:
        """Describe the issues in one line: how many there are of each reason, most frequent first."""
        counts = Counter(issue["reason"] for issue in self.issues)
        return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "no issue"

    def open(self, path: str) -> Container | None:
        """Open a zip or folder of the archive; returns `None`, and notes it, where it cannot be opened."""
        self.archives_read += 1
        try:
            container = Container(path)
        except ContainerError as error:
            self.note("quarantined", "archive_unreadable", detail=str(error))
            return None
        self.directories[path] = container.directory_hash()
        return container


def image_ids_of(archive: Archive, members: Iterable[str]) -> dict[str, str]:
    """Return the IDs of an archive's photographs by member: archive and path without extension, joined by dots, in
    Unicode form NFC. Where the dots of names would make one ID of several paths, as of `a.b/c` and `a/b.c`, a hash of
    its path is at the end of each.

    Paths that differ in their extension, or in the case of letters, count as one: their IDs are the same but for case.
    """
    paths = {member: composed(PurePosixPath(member).with_suffix("").as_posix()) for member in members}
    ids = {member: f"{archive.name}.{path.replace('/', '.')}" for member, path in paths.items()}
    meant: dict[str, set[str]] = defaultdict(set)
    for member, path in paths.items():
        meant[ids[member].casefold()].add(path.casefold())
    return {
        member: f"{name}.{_short_hash(paths[member].casefold())}" if len(meant[name.casefold()]) > 1 else name
        for member, name in ids.items()
    }


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def photo_pill(
    archive: Archive,
    *,
    image_id: str,
    member: str,
    label_member: str,
    k_code: str,
    name: str,
    size: tuple[int, int],
    box: Sequence[float],
) -> Row:
    """Return the row, schema `PILLS`, of a pill; `checks.settled` fills in domain, group and number of pills.

    Args:
        archive: the photograph's.
        image_id: the photograph's, of `image_ids_of`.
        member: the photograph.
        label_member: the label.
        k_code: its class, by K-code or by name.
        name: the drug's name.
        size: width and height of the photograph in pixels, 0 where they are not known.
        box: x, y, w, h in pixels.
    """
    width, height = size
    return {
        "image_id": image_id,
        "archive": archive.name,
        "member": member,
        "label_member": label_member,
        "domain": "",
        "part": archive.part,
        "group": "",
        "k_code": k_code,
        "edi_codes": "",
        "drug_name": name,
        "expected_pills": 0,
        "width": width,
        "height": height,
        **dict(zip("xywh", box, strict=True)),
    }


def composed(text: str) -> str:
    """Return text in Unicode form NFC: macOS writes names decomposed, and labels name them composed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean_text(text: str) -> str:
    """Return text as one line for tables and pages: composed, control characters become blanks, outer ones go."""
    text = composed(text)
    return _CONTROLS.sub(" ", text).strip() if _CONTROLS.search(text) else text


def decode_label(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Decode a label file of any encoding; returns its text, and the repair where it is not UTF-8."""
    text, encoding = decode_text(data)
    reason = "" if encoding.startswith("utf-8") else f"label_{encoding}" if encoding.startswith("cp") else "label_utf16"
    return text, [(reason, encoding)] if reason else []


def shown(value: object) -> str:
    """Return what a label holds, for the detail of an issue: at most 200 characters, however deep it is nested."""
    try:
        return repr(value)[:200]
    except RecursionError:
        return "values that are nested too deep"


def parse_box(values: object) -> tuple[float, float, float, float]:
    """Return x, y, w, h as finite numbers with a positive size; raises `LabelError`."""
    if not values:
        raise LabelError("bbox_missing", shown(values))
    if not isinstance(values, list | tuple) or len(values) != 4 or not {*map(type, values)} <= {int, float}:
        raise LabelError("bbox_malformed", shown(values))
    try:
        x, y, w, h = map(float, values)
    except OverflowError as error:  # an integer of hundreds of digits
        raise LabelError("bbox_malformed", f"{len(repr(values))} characters") from error
    if not math.isfinite(x + y + w + h):
        raise LabelError("bbox_malformed", repr(values))
    if w <= 0 or h <= 0:
        raise LabelError("bbox_zero_size", repr(values))
    return x, y, w, h


def box_scale(labelled: tuple[int, int], actual: tuple[int, int]) -> tuple[float, float] | None:
    """Return the factors in x and y from a label's pixels to those of a photograph that was resized after it.

    Args:
        labelled: width and height in the label, 0 where it has none.
        actual: width and height of the photograph.

    Returns:
        `None` unless one factor gives both sides, each rounded up or down to whole pixels: sides that were swapped,
        cropped or padded do not tell where a box lies now.
    """
    if min(labelled) <= 0:
        return None
    if all(abs(old - new) <= 1 for old, new in zip(labelled, actual, strict=True)):
        return 1.0, 1.0
    least = max((new - 1) / old for old, new in zip(labelled, actual, strict=True))
    most = min((new + 1) / old for old, new in zip(labelled, actual, strict=True))
    if least >= most:
        return None
    return actual[0] / labelled[0], actual[1] / labelled[1]


def fit_box(box: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    """Return the box inside a photograph of that size, clipped by at most 2 pixels; raises `LabelError`."""
    x, y, w, h = box
    excess = max(-x, -y, x + w - width, y + h - height)
    if excess > 2:
        raise LabelError("bbox_outside", f"{list(box)} in {width} x {height}")
    if w * h > 0.95 * width * height:
        raise LabelError("bbox_whole_photo", f"{list(box)} in {width} x {height}")
    left, top = max(0.0, x), max(0.0, y)
    fitted = (left, top, min(x + w, width) - left, min(y + h, height) - top) if excess > 0 else box
    if min(fitted[2:]) < SMALLEST_SIDE:
        raise LabelError("bbox_too_small", f"{list(box)} in {width} x {height}")
    return fitted
