"""Evaluation of a detector alone: precision and recall on validation and on the test part, and what it finds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pillsnap.pages.box_sources import box_sources
from pillsnap.pages.formats import count, decimal, percent, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.detector_inputs import DetectorInputs
from pillsnap.report.facts.verdicts import DETECTOR_TARGETS, verdict_table, verdicts
from pillsnap.report.section import Section
from pillsnap.report.sections.detector import precision_recall

PARTS = {"val": "Validation", "test": "Test"}


def section(inputs: DetectorInputs) -> Section:
    """mAP, precision and recall of both parts, and sample photographs."""
    parts = inputs.evaluation["parts"]
    found = [one for one in verdicts(inputs.targets, {"detector": parts["test"]}) if one.key in DETECTOR_TARGETS]
    return Section(
        id="evaluation",
        title="Detector",
        tables={
            "verdicts": verdict_table("Targets on the test part", found),
            "measured": Table("What the detector finds", ("", *map(number, PARTS.values())), _rows(parts)),
        },
        figures=[
            precision_recall(parts[part]["pr_curve"], parts[part]["map50"], part=word.lower(), name=f"pr_{part}")
            for part, word in PARTS.items()
        ],
        values={
            "boxes": box_sources(inputs.manifest),
            "samples": [_sample(inputs.evaluation_folder, one) for one in inputs.evaluation["samples"]],
        },
    )


def _rows(parts: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Rows of figures, a column each part."""
    both = [parts[part] for part in PARTS]
    rows = [
        ["mAP@0.5", *(percent(one["map50"], 2) for one in both)],
        ["mAP@0.5:0.95", *(percent(one["map50_95"], 2) for one in both)],
        ["Precision", *(percent(one["precision"], 2) for one in both)],
        ["Recall: pills found", *(percent(one["recall"], 2) for one in both)],
        ["Extra boxes per photo", *(decimal(one["extra_per_photo"]) for one in both)],
        ["Photographs", *(count(one["photos"]) for one in both)],
        ["Pills on them", *(count(one["pills"]) for one in both)],
    ]
    empty = [one.get("backgrounds", {"photos": 0, "with_boxes": 0}) for one in both]
    if any(one["photos"] for one in empty):
        rows.append(["Of the photographs, backgrounds", *(count(one["photos"]) for one in empty)])
        rows.append(["Backgrounds with a box", *(count(one["with_boxes"]) for one in empty)])
    return rows


def _sample(folder: Path, sample: Mapping[str, Any]) -> Picture:
    words = f"{sample['found']} of {plural(sample['pills'], 'pill')} found, {plural(sample['boxes'], 'detection')}"
    perfect = sample["found"] == sample["pills"] == sample["boxes"]
    return Picture(
        data_uri((folder / sample["file"]).read_bytes()),
        f"Test photograph {sample['image_id']} with the detector's boxes: {words}.",
        words,
        "right" if perfect else "wrong",
    )
