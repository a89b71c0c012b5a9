"""Label audit: where the detector disagrees with the labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pillsnap.pages.formats import count, decimal, figure, listing, plural
from pillsnap.pages.html import Picture, data_uri
from pillsnap.pages.table import Rows, Table, code, number
from pillsnap.report.inputs import DetectorFacts
from pillsnap.report.section import Section

KINDS = {
    "detection_without_label": "Detection without label",
    "label_without_detection": "Label without detection",
}
"""The kinds of findings and their names on the page."""
_COUNTS = {
    "all": "All",
    "split.train": "Training",
    "split.val": "Validation",
    "domain.single": "Single",
    "domain.combo": "Combo",
    "partly_labelled": "Partly labelled",
}
"""Columns of the counts, by their place in the audit's summary."""


def section(inputs: DetectorFacts) -> Section:
    """Findings counted, listed and shown."""
    counted = _COUNTS | ({"domain.background": "Background"} if "backgrounds" in inputs.audit else {})
    total = sum(kind["all"] for kind in inputs.audit["findings"].values())
    return Section(
        id="audit",
        title="Label audit",
        tables={
            "audit": Table(
                "Where detector and labels disagree",
                ("Finding", *map(number, counted.values())),
                [
                    [word, *(count(figure(inputs.audit, f"findings.{kind}.{path}")) for path in counted)]
                    for kind, word in KINDS.items()
                ],
            ),
            "findings": Table(
                f"First {len(inputs.first_findings)} of {plural(total, 'finding')}",
                (
                    "Finding",
                    code("Archive"),
                    code("Photo"),
                    code("K-code"),
                    code("Named, not labelled"),
                    number("Score"),
                    number("Best IoU"),
                ),
                _finding_rows(inputs.first_findings),
            ),
        },
        values={"findings": _pictures(inputs)},
    )


def _finding_rows(rows: Sequence[Mapping[str, str]]) -> Rows:
    """Findings one by one: kind, photograph, the label's K-code, K-codes without label, score, best IoU."""
    return [
        [
            KINDS[row["kind"]],
            row["archive"],
            row["member"],
            row["k_code"],
            row["suggested_k_codes"].replace(",", ", "),
            decimal(float(row["score"]) if row["score"] else None),
            decimal(float(row["best_iou"])),
        ]
        for row in rows
    ]


def _pictures(inputs: DetectorFacts) -> dict[str, list[Picture]]:
    """Photographs by the name of the kind of finding that they show."""
    return {
        word: [
            _picture(inputs.audit_folder / file, rows)
            for file, rows in inputs.drawn_findings.items()
            if rows[0]["kind"] == kind
        ]
        for kind, word in KINDS.items()
    }


def _picture(path: Path, rows: Sequence[Mapping[str, str]]) -> Picture:
    caption = _in_words(rows)
    words = f"Photograph {rows[0]['image_id']}, {KINDS[rows[0]['kind']].lower()}. {caption}."
    return Picture(data_uri(path.read_bytes()), words, caption)


def _in_words(rows: Sequence[Mapping[str, str]]) -> str:
    """One photograph's findings in words; `rows` are all of one kind."""
    photo = rows[0]
    side = {"train": "Training", "val": "Validation"}[photo["split"]]
    place = f"{side}, {photo['domain']}"
    if photo["kind"] == "label_without_detection":
        return f"{place}: {listing([row['k_code'] for row in rows])}"
    said = f"{place}: score {listing([decimal(float(row['score'])) for row in rows])}"
    missing = photo["suggested_k_codes"].split(",") if photo["suggested_k_codes"] else []
    return said + (f". In its name, but not labelled: {listing(missing)}" if missing else "")
