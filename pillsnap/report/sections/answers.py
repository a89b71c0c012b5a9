"""Whole answers: from the photograph to the drugs' names."""

from pathlib import Path
from typing import Any

from pillsnap.pages.formats import decimal, figure, percent, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Table, number
from pillsnap.report.facts.reading import reading_table
from pillsnap.report.facts.same_pill import same_pill_table
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """Pills found and named right in whole answers, answers to both sides of a pill, what is read, and samples."""
    rows = [
        [
            word,
            percent(figure(inputs.metrics, f"pipeline.{mode}_found"), 2),
            percent(figure(inputs.metrics, f"pipeline.{mode}_correct"), 2),
            decimal(figure(inputs.metrics, f"pipeline.{mode}_extra_per_photo")),
        ]
        for mode, word in (("single", "Single"), ("combo", "Combo"))
    ]
    head = ("Photographs", number("Found"), number("Found and named right"), number("Extra boxes per photo"))
    return Section(
        id="answers",
        title="Whole answers",
        tables={
            "pipeline": Table("Whole answers, pill by pill", head, rows),
            "same_pill": same_pill_table(inputs.accuracy["same_pill"]),
            "reading": reading_table(inputs.accuracy["reading"]),
        },
        values={
            "samples": [_sample(inputs.examples_folder, sample) for sample in inputs.examples["samples"]],
            "together": inputs.accuracy["same_pill"],
            "read": inputs.accuracy["reading"]["seen"],
        },
    )


def _sample(folder: Path, sample: dict[str, Any]) -> Picture:
    # a box that is no pill is wrong too, even where every pill is right
    perfect = sample["right"] == sample["pills"] == sample["answered"]
    boxes = "box" if sample["answered"] == 1 else "boxes"
    right = f"{sample['right']} of {plural(sample['pills'], 'pill')} named right"
    words = f"{right}, {sample['answered']} {boxes} drawn"
    return Picture(
        data_uri((folder / sample["file"]).read_bytes()),
        f"Test photograph {sample['image_id']} with the boxes of the answer: {words}.",
        f"{sample['domain'].capitalize()}: {words}",
        "right" if perfect else "wrong",
    )
