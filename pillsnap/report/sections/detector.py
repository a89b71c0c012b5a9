"""Detector: precision and recall, and the pills that it finds."""

from collections.abc import Mapping, Sequence

import altair as alt

from pillsnap.pages.box_sources import box_sources
from pillsnap.pages.drawing import BLUE, DESCRIPTION, PERCENT, SHARE, Figure, chart, draw
from pillsnap.pages.formats import count, decimal, figure, percent, plural
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.facts.verdicts import verdicts
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """mAP on the test part, and what is found on every part."""
    found = {one.key: one for one in verdicts(inputs.targets, inputs.metrics)}
    return Section(
        id="detector",
        title="Detector",
        tables={
            "found": Table(
                "What the detector finds",
                ("Part", *map(number, ("Pills", "Found", "Mean IoU", "Extra boxes per photo"))),
                _found_rows(inputs),
            )
        },
        figures=[precision_recall(inputs.accuracy["detector"]["pr_curve"], figure(inputs.metrics, "detector.map50"))],
        values={"measured": [found["map50"], found["map50_95"]], "boxes": box_sources(inputs.manifest)},
    )


def _found_rows(inputs: Inputs) -> Rows:
    """Pills that the detector finds, and boxes that are no pill."""
    rows = []
    for part, word in (("train", "Training"), ("val", "Validation")):
        crops = inputs.crops.get(part, {})
        share = crops["found_by_detector"] / crops["pills"] if crops.get("pills") else None
        rows.append([word, count(crops.get("pills")), percent(share), decimal(crops.get("mean_iou"), 3), decimal(None)])
    for mode in ("single", "combo"):
        found, extra = (figure(inputs.metrics, f"pipeline.{mode}_{what}") for what in ("found", "extra_per_photo"))
        pills = figure(inputs.accuracy, f"classifier.{mode}.pills")
        rows.append([f"Test, {mode} (whole answers)", count(pills), percent(found), decimal(None), decimal(extra)])
    if empty := inputs.accuracy["detector"].get("backgrounds"):
        extra = empty["boxes"] / empty["photos"]
        rows.append(
            [f"Test, {plural(empty['photos'], 'background')}", count(0), percent(None), *map(decimal, (None, extra))]
        )
    return rows


def precision_recall(
    curve: Sequence[Mapping[str, float]],
    map50: float | None,
    *,
    part: str = "test",
    name: str = "precision_recall",
) -> Figure | None:
    """Draw precision over recall of a part, under a file name; `None` without detections."""
    rows = [
        {**point, "description": f"Recall {percent(point['recall'], 0)}: precision {percent(point['precision'])}"}
        for point in curve
        if point["precision"] >= 0
    ]
    if not rows:
        return None
    base = chart(rows).encode(
        x=alt.X("recall:Q", title="Recall", axis=PERCENT, scale=SHARE),
        y=alt.Y("precision:Q", title="Precision", axis=PERCENT, scale=SHARE),
    )
    layers = [
        base.mark_area(color=BLUE, opacity=0.14),
        base.mark_line(color=BLUE, strokeWidth=2.2),
        base.mark_circle(color=BLUE, size=60, opacity=0).encode(description=DESCRIPTION),
    ]
    words = f"Precision over recall on the {part} part; the area below the curve is mAP@0.5, {percent(map50, 2)}."
    return draw(name, "Precision and recall at IoU 0.5", words, layers)
