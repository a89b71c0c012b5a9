"""Data: the sides of the split, and where everything that was read went."""

from pillsnap.pages.box_sources import box_sources
from pillsnap.pages.formats import backgrounds, boxes_alone, count, never_seen, plural
from pillsnap.pages.quarantine import account, outcome_tables, quarantine_chart, quarantined_share
from pillsnap.pages.sources import sources_table
from pillsnap.pages.table import Table, code, number
from pillsnap.report.facts.splits import leaks, splits_table
from pillsnap.report.inputs import DetectorFacts
from pillsnap.report.section import Section

LISTED = ("archive", "member", "label_member", "reason", "detail")
"""Columns of the quarantine list that are shown."""


def section(inputs: DetectorFacts) -> Section:
    """Splits, leaks, accounts and the quarantine."""
    manifest = inputs.manifest
    return Section(
        id="data",
        title="Data",
        tables={
            "sources": sources_table(manifest, inputs.source_figures),
            "splits": splits_table(manifest, "What is on each side of the split"),
            "leaks": Table(
                "Audit of the split",
                ("", number("Found"), "Verdict"),
                [*((one.text, one.fact, one) for one in leaks(manifest)), *_near_duplicates(inputs)],
            ),
            **outcome_tables(manifest, "What each reason means"),
            "quarantine": Table(
                f"First {len(inputs.first_quarantined)} of {plural(inputs.quarantined, 'row')}",
                (code("Archive"), code("Photo"), code("Label"), code("Reason"), "Detail"),
                [[row[column] for column in LISTED] for row in inputs.first_quarantined],
            ),
        },
        figures=[quarantine_chart(manifest)],
        values={
            "accounts": [account(kind, manifest[kind]) for kind in ("photos", "labels")],
            "boxes": box_sources(manifest),
            "backgrounds": backgrounds(sum(manifest.get("backgrounds", {}).values())),
            "boxes_alone": boxes_alone(manifest["without_class"]),
            "never_seen": never_seen(manifest["unseen"], inputs.plan["unseen_drugs"]),
            "quarantine_share": quarantined_share(manifest),
        },
    )


def _near_duplicates(inputs: DetectorFacts) -> list[tuple[str, str, str]]:
    """Near-duplicates across two sides: which sides, how many pairs, and how many photographs are in them."""
    names = {"train": "training", "val": "validation", "test": "test"}
    rows = []
    for sides, found in inputs.manifest["audit"]["near_duplicates"]["by_sides"].items():
        first, second = sides.split("-")
        photos = f"{count(found[f'{first}_photos'])} {names[first]}, {count(found[f'{second}_photos'])} {names[second]}"
        title = f"Near-duplicate pairs: {names[first]} and {names[second]}"
        rows.append((title, count(found["pairs"]), f"{photos} photographs"))
    return rows
