"""Checks of the labels of one photograph against each other, the same for every kind of source."""

from itertools import combinations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from pillsnap.pictures.boxes import iou, iou_rows
from pillsnap.sources.aihub_name import parse_photo_name
from pillsnap.sources.archives import Archive
from pillsnap.sources.labels import LabelError, LabelReading, Row
from pillsnap.tables.classes import is_k_code

if TYPE_CHECKING:
    import pandas as pd  # every start of Snakemake imports the kinds of source

SAME_PILL = 0.9
"""IoU from which two boxes of a photograph are the same pill's: two pills lie beside each other, not in each other."""
OVERLAPPING = 0.1
"""IoU above which the boxes of two drugs are listed for people: a wrong label, or long pills that lie at a slant."""


def drop_conflicts(pills: list[Row], reading: LabelReading, *, one_pill: bool) -> set[str]:
    """Quarantine labels of one photograph that contradict each other.

    Args:
        pills: the photograph's labels.
        reading: takes the issues.
        one_pill: whether the photograph is known to show one pill.

    Returns:
        the label members to drop: all of a box that two drugs share, all of a photograph of one pill that has several
        boxes, all but the first of a pill labelled twice.
    """
    conflicts: dict[str, dict[str, str]] = {"bbox_shared": {}, "bbox_ambiguous": {}, "label_duplicated": {}}
    for first, second in combinations(pills, 2):
        boxes = [tuple(pill[side] for side in "xywh") for pill in (first, second)]
        same, names = iou(*boxes) >= SAME_PILL, (first["label_member"], second["label_member"])
        if same and first["k_code"] == second["k_code"]:
            conflicts["label_duplicated"][names[1]] = f"{list(boxes[1])} and {list(boxes[0])}"
        elif same or one_pill:
            reason = "bbox_shared" if same else "bbox_ambiguous"
            conflicts[reason] |= dict.fromkeys(names, f"{list(boxes[0])} and {list(boxes[1])}")
    dropped: set[str] = set()
    for reason, details in conflicts.items():
        for pill in pills:
            name = pill["label_member"]
            if name in details and name not in dropped:
                dropped.add(name)
                reading.note("quarantined", reason, member=pill["member"], label_member=name, detail=details[name])
    return dropped


def background(archive: Archive, *, member: str, image_id: str) -> Row:
    """Return the row, schema `BACKGROUNDS`, of a photograph that is labelled as showing no pill."""
    group = _capture_group(PurePosixPath(member).stem, image_id)
    return {"image_id": image_id, "archive": archive.name, "member": member, "part": archive.part, "group": group}


def _capture_group(stem: str, image_id: str) -> str:
    """Return AIHub's capture group, else the name before `.rf.`, which augmented copies share, else the photograph."""
    name = parse_photo_name(stem)
    original, copied, _ = stem.partition(".rf.")
    return name.capture_group if name else original if copied else image_id


def check_drug(k_code: str, drugs: tuple[str, ...] | None) -> None:
    """Raise `LabelError` where a photograph's name tells its drugs, and a K-code is not among them."""
    if drugs is not None and is_k_code(k_code) and k_code not in drugs:
        raise LabelError("k_code_not_in_name", k_code)


def _misnamed(pill: Row, drugs: tuple[str, ...] | None, reading: LabelReading) -> bool:
    try:
        check_drug(pill["k_code"], drugs)
    except LabelError as error:
        place = {"member": pill["member"], "label_member": pill["label_member"]}
        reading.note("quarantined", error.reason, **place, detail=error.detail)
        return True
    return False


def settled(pills: list[Row], *, member: str, image_id: str, labels: int, reading: LabelReading) -> list[Row]:
    """Return a photograph's pills that no other label contradicts, with its number of pills, domain and capture group.

    A name of AIHub's form gives AIHub's number of pills and capture group. Augmented copies of one photograph share the
    name before `.rf.`, which is the group; any other photograph is a group of its own.

    Args:
        pills: the labels that could be read.
        member: the photograph.
        image_id: its ID.
        labels: number of its labels, those that could not be read included.
        reading: takes the issues.
    """
    stem = PurePosixPath(member).stem
    name = parse_photo_name(stem)
    drugs = name.drugs if name else None
    pills = [pill for pill in map(reading.named, pills) if not _misnamed(pill, drugs, reading)]
    noted = len(reading.issues)
    dropped = drop_conflicts(pills, reading, one_pill=name is not None and len(name.drugs) == 1)
    again = sum(issue["reason"] == "label_duplicated" for issue in reading.issues[noted:])
    kept = [pill for pill in pills if pill["label_member"] not in dropped]
    if not kept:
        reading.note("quarantined", "photo_without_usable_label", member=member)
    expected = len(name.drugs) if name else labels - again
    group = _capture_group(stem, image_id)
    return [
        pill | {"domain": "single" if expected == 1 else "combo", "group": group, "expected_pills": expected}
        for pill in kept
    ]


def overlapping_labels(pills: "pd.DataFrame") -> "pd.DataFrame":
    """List pairs of labels of two drugs in one photograph whose boxes overlap with an IoU above `OVERLAPPING`.

    Args:
        pills: manifest rows.

    Returns:
        columns of the schema `OVERLAPS`, those that overlap most first.
    """
    rows = pills.sort_values(["image_id", "label_member"]).reset_index(drop=True)
    photo, drug = (rows[column].factorize()[0] for column in ("image_id", "k_code"))
    boxes = rows[list("xywh")].to_numpy(float)
    first = np.zeros(0, int)
    step = np.zeros(0, int)
    for apart in range(1, int(np.bincount(photo).max(initial=0))):  # labels of a photograph are consecutive
        found = np.flatnonzero((photo[apart:] == photo[:-apart]) & (drug[apart:] != drug[:-apart]))
        first, step = np.append(first, found), np.append(step, np.full(len(found), apart))
    second, overlap = first + step, iou_rows(boxes[first], boxes[first + step])
    order = np.lexsort([second, first, -overlap])[: int((overlap > OVERLAPPING).sum())]
    pairs = rows.loc[first[order], ["image_id", "archive", "member", "split"]].reset_index(drop=True)
    for name, places in (("first", first[order]), ("second", second[order])):
        pairs[f"{name}_label"] = rows["label_member"].to_numpy()[places]
        pairs[f"{name}_k_code"] = rows["k_code"].to_numpy()[places]
    return pairs.assign(iou=np.minimum(1, overlap[order]).round(4))
