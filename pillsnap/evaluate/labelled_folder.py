"""A folder of labelled photographs of any kind: recognised, its labels read, its photographs measured in place."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.answers.answer import Mode
from pillsnap.benchmark.photo_results import Labels, measure_labelled
from pillsnap.evaluate.labelled_once import repeated_photos
from pillsnap.evaluate.measured import Measured
from pillsnap.files import read_json
from pillsnap.hardware import usable_threads
from pillsnap.manifest.archive_photos import (
    ArchivePhoto,
    each_photo,
    labelled_box,
    photos_with_pills,
    photos_without_pill,
    read_member,
)
from pillsnap.manifest.index_archive import index_archive
from pillsnap.manifest.left_out import by_reason
from pillsnap.pictures.decode import PictureError, decode_photo
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.containers.container import Container
from pillsnap.sources.labels import LabelError, LabelReading
from pillsnap.sources.registry import found_kinds, get_kind, list_archives, recognise
from pillsnap.tables.files import make_table, read_tables
from pillsnap.tables.schemas import BACKGROUNDS, ISSUES, PILLS


@dataclass(frozen=True)
class LabelledFolder:
    """What the labels of a folder say.

    Attributes:
        path: where it is.
        kind: kind of source.
        archives: by name.
        pills, backgrounds, issues: of the schemas of those names.
        read: number of `photos` and `labels` read.
    """

    path: Path
    kind: str
    archives: Mapping[str, Archive]
    pills: pd.DataFrame
    backgrounds: pd.DataFrame
    issues: pd.DataFrame
    read: Mapping[str, int]


@dataclass(frozen=True)
class MeasuredFolder:
    """Measured photographs of a folder, and issues (schema `ISSUES`) of the labels and of the decode."""

    labelled: LabelledFolder
    photos: list[Measured]
    issues: pd.DataFrame

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Account for `photos` and `labels`: `read` is `kept`, those measured, with those `quarantined` and `skipped`,
        by reason; `repaired` counts repairs. A photograph that is labelled as showing no pill has no label."""
        labels, photos = self.issues["label_member"] != "", self.issues["member"] != ""
        measured = sum(1 if one.drug is not None else len(one.result.boxes) for one in self.photos)
        found: dict[str, dict[str, Any]] = {}
        for kind, kept, of_kind in (("photos", len(self.photos), photos & ~labels), ("labels", measured, labels)):
            by_outcome = {name: _counts(self.issues[of_kind], name) for name in ("quarantined", "skipped")}
            found[kind] = {"read": self.labelled.read[kind], "kept": kept} | by_outcome
        return found | {"repaired": _counts(self.issues, "repaired")}

    def picture(self, photo: Measured) -> np.ndarray:
        """Decode one of the photographs again: uint8 (H, W, 3)."""
        with Container(self.labelled.archives[photo.archive].photos) as container:
            raw = read_member(container, photo.member)
        if isinstance(raw, PictureError):
            raise raw
        return decode_photo(raw)


def index_folder(folder: Path, *, kind: str | None = None, classes: Path | None = None) -> LabelledFolder:
    """Recognise a folder and read its labels; no pixel is decoded.

    Args:
        folder: of any kind that `pillsnap data check` recognises.
        kind: its kind, where that is told.
        classes: table of the drugs that the labels' class names stand for, see `pillsnap.sources.class_table`.

    Raises:
        SourceError: the folder is of no kind that is known, nothing in it is labelled, two of its label files say
            different things of a photograph, or the table cannot be used.
    """
    if kind is not None and kind not in found_kinds():
        raise SourceError(f"--kind {kind}: must be one of {', '.join(found_kinds())}.")
    source, archives = recognise(folder, kind)
    title = get_kind(source.kind).title
    if classes:
        if get_kind(source.kind).k_coded:
            raise SourceError(f"{folder}: is {title}, whose labels have K-codes: no table of class names is used.")
        archives = list_archives(source.model_copy(update={"classes": str(classes)}))
    with tempfile.TemporaryDirectory() as place:
        names = ("pills", "backgrounds", "looks", "issues", "counts")
        tables = [{name: Path(place) / f"{archive}.{name}" for name in names} for archive in archives]
        for archive, paths in zip(archives.values(), tables, strict=True):
            index_archive(kind=source.kind, archive=archive, **paths)
        labelled = LabelledFolder(
            folder,
            source.kind,
            archives,
            read_tables([paths["pills"] for paths in tables], PILLS),
            read_tables([paths["backgrounds"] for paths in tables], BACKGROUNDS),
            read_tables([paths["issues"] for paths in tables], ISSUES),
            {kind: sum(read_json(paths["counts"])[kind] for paths in tables) for kind in ("photos", "labels")},
        )
    if labelled.pills.empty and labelled.backgrounds.empty:
        raise SourceError(
            f"{folder}: is {title}, and none of its {labelled.read['photos']} photographs has a usable label. "
            f"`pillsnap data check` lists what is there.{_reasons(labelled.issues)}"
        )
    return _labelled_once(labelled)


def _labelled_once(folder: LabelledFolder) -> LabelledFolder:
    """Leave out photographs that an earlier archive has, too: measured twice, they would count twice."""
    again = repeated_photos(folder.archives, folder.pills, folder.backgrounds)
    notes = {name: LabelReading(name) for name in folder.archives}
    for (name, member), first in again.items():
        notes[name].note("skipped", "photo_duplicated", member=member, detail=first)
    pills, empty = (
        [place in again for place in zip(table["archive"], table["member"], strict=True)]
        for table in (folder.pills, folder.backgrounds)
    )
    for pill in folder.pills[pills].itertuples():
        place = {"member": pill.member, "label_member": pill.label_member}
        notes[pill.archive].note("skipped", "photo_duplicated", **place, detail=again[pill.archive, pill.member])
    issues = make_table([issue for one in notes.values() for issue in one.issues], ISSUES)
    return replace(
        folder,
        pills=folder.pills[~np.array(pills, bool)],
        backgrounds=folder.backgrounds[~np.array(empty, bool)],
        issues=pd.concat([folder.issues, issues], ignore_index=True),
    )


def measure_folder(folder: LabelledFolder, steps: SeparateSteps, *, mode: Mode, threads: int) -> MeasuredFolder:
    """Decode and answer every labelled photograph, in the order of archives and names.

    Args:
        folder: of `index_folder`.
        steps: the models, loaded with one thread each.
        mode: what the photographs show.
        threads: photographs at a time, at most the available cores; they change no result.

    Raises:
        SourceError: no photograph can be measured.
    """
    cv2.setNumThreads(1)
    photos: list[Measured] = []
    issues = [folder.issues]
    class_of = {drug.k_code: drug.index for drug in steps.classes}
    for name, archive in folder.archives.items():
        pills, empty = (table[table["archive"] == name] for table in (folder.pills, folder.backgrounds))
        total = pills["image_id"].nunique() + len(empty)
        if not total:
            continue
        measure = partial(_measure, steps=steps, mode=mode, class_of=class_of, boxed=archive.boxes == "label")
        every = chain(photos_with_pills(pills), photos_without_pill(empty))
        notes = LabelReading(name)
        results = each_photo(archive, every, measure, threads=usable_threads(threads))
        for photo, (measured, found) in progress(results, total=total, title=name):
            for outcome, reason, label_member, detail in found:
                notes.note(outcome, reason, member=photo.row.member, label_member=label_member, detail=detail)
            photos += [measured] if measured else []
        issues.append(make_table(notes.issues, ISSUES))
    every_issue = pd.concat(issues, ignore_index=True)
    if not photos:
        raise SourceError(f"{folder.path}: none of its photographs can be measured.{_reasons(every_issue)}")
    return MeasuredFolder(folder, photos, every_issue)


Issue = tuple[str, str, str, str]
"""Outcome, reason, label, detail."""


def _measure(
    raw: bytes | PictureError,
    photo: ArchivePhoto,
    *,
    steps: SeparateSteps,
    mode: Mode,
    class_of: Mapping[str, int],
    boxed: bool,
) -> tuple[Measured | None, list[Issue]]:
    """Measure one photograph; `None` where it is quarantined."""
    try:
        if isinstance(raw, PictureError):
            raise raw
        decoded = open_photo(raw, steps.detector_facts)
    except PictureError as error:
        of_labels = [("quarantined", "label_of_quarantined_photo", pill.label_member, "") for pill in photo.pills]
        return None, [("quarantined", error.reason, "", error.detail), *of_labels]
    kept, boxes, issues = [], [], []
    for pill in photo.pills if boxed else []:
        try:
            box, repairs = labelled_box(pill, decoded.width, decoded.height, raw)
        except LabelError as error:
            issues.append(("quarantined", error.reason, pill.label_member, error.detail))
            continue
        issues += [("repaired", reason, pill.label_member, detail) for reason, detail in repairs]
        boxes.append(box)
        kept.append(class_of.get(pill.k_code, -1))
    if photo.pills and boxed and not boxes:
        return None, [*issues, ("quarantined", "photo_without_usable_label", "", "")]
    expected = photo.pills[0].expected_pills if photo.pills else 0
    labels = Labels(
        mode=mode,
        image_id=photo.row.image_id,
        fully_labelled=len(boxes) >= expected,
        boxes=np.array(boxes, float).reshape(-1, 4),
        targets=np.array(kept, int),
    )
    result = measure_labelled(steps, decoded, labels)
    drug = None if boxed else class_of.get(photo.pills[0].k_code, -1)
    row = photo.row
    return Measured(row.archive, row.member, row.group, max(expected, len(boxes)), result, drug), issues


def _counts(issues: pd.DataFrame, outcome: str) -> dict[str, int]:
    """Number of issues of an outcome by reason."""
    return dict(sorted(Counter(issues.loc[issues["outcome"] == outcome, "reason"]).items()))


def _reasons(issues: pd.DataFrame) -> str:
    """Quarantined photographs and labels by reason, with an example of each, as lines of an error."""
    rows = by_reason(issues[issues["outcome"] == "quarantined"])
    return "".join(f"\n  {number} {reason}, such as {example[:200]}" for reason, number, example in rows)
