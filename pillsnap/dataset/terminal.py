"""A stage's data and one drug of it, printed as tables that fit 80 columns."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pillsnap.dataset.drug import DrugFacts
from pillsnap.dataset.facts.counts import PartCount
from pillsnap.dataset.quarantine import PhotoFacts
from pillsnap.dataset.stage_data import PARTS
from pillsnap.dataset.summary import PERCENTILES, box_summary
from pillsnap.pages.formats import MISSING, backgrounds, boxes_alone, count, decimal, never_seen, percent, plural
from pillsnap.pages.sources import sources_table
from pillsnap.sources.registry import get_kind

SHOWN_DRUGS = 5
SHOWN_ROWS = 20


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print what `summarise` gives."""
    console = plain_console()
    kinds = summary["source"].split(", ") if summary["source"] else []
    console.print(f"{summary['stage']}: {_photographs(kinds)}")
    _print_parts(console, [PartCount(**part) for part in summary["parts"]], drugs=True)
    if words := never_seen(summary["unseen"], summary["unseen_drugs"]):
        console.print(words)
    if words := boxes_alone(summary["without_class"]):
        console.print(words)
    if words := backgrounds(summary["backgrounds"]):
        console.print(words)
    if summary["partly_labelled_photos"]:
        console.print(f"{plural(summary['partly_labelled_photos'], 'photograph')} with fewer labels than pills")
    _print_views(console, {word: [tuple(one.values()) for one in rows] for word, rows in summary["views"].items()})
    _print_boxes(console, summary["boxes"])
    _print_drugs(console, summary)
    if "sources" in summary:
        table = sources_table(summary)
        print_table(console, table.caption, ["Source", *(f"#{one.title}" for one in table.columns[1:])], table.rows)
    _print_outcomes(console, summary)


def _photographs(kinds: Sequence[str]) -> str:
    return "; ".join(get_kind(kind).photographs for kind in kinds) or "source not known before its dataset.html is made"


def print_drug(facts: DrugFacts, *, stage: str, kinds: Sequence[str]) -> None:
    """Print what a stage holds of one drug."""
    console = plain_console()
    drug = facts.drug
    console.print(drug.k_code if drug.name == drug.k_code else f"{drug.k_code}  {drug.name}")
    console.print(f"{stage}: {_photographs(kinds)}")
    console.print(f"Class index: {drug.index}")
    console.print(f"EDI codes: {', '.join(drug.edi_codes) or MISSING}")
    _print_parts(console, facts.parts, drugs=False)
    if facts.sources:
        rows = [(name, count(photos), count(pills)) for name, photos, pills in facts.sources]
        print_table(console, "Sources", ["Source", "#Photos", "#Pills"], rows)
    views = {word: [(one.value, one.single, one.combo) for one in rows] for word, rows in facts.views.items()}
    _print_views(console, views)
    _print_boxes(console, {one.domain: box_summary(one) for one in facts.boxes})
    examples = ((row.split, row.archive, row.member) for row in facts.examples.itertuples())
    print_table(console, "Some of its photographs", ["Part", "Archive", "Photograph"], examples)
    rows = facts.quarantined
    title = f"Quarantined: {plural(len(rows), 'row')}" + (f", the first {SHOWN_ROWS}" if len(rows) > SHOWN_ROWS else "")
    shown = (
        (row.reason, (row.label_member or row.member).rpartition("/")[2], row.detail)
        for row in rows[:SHOWN_ROWS].itertuples()
    )
    print_table(console, title, ["Reason", "Label or photograph", "Detail"], shown)


def print_photo(photo: PhotoFacts, *, stage: str, kinds: Sequence[str]) -> None:
    """Print what a stage holds of one photograph: labels that are kept, and what was refused."""
    console = plain_console()
    console.print(f"{photo.archive}: {photo.member}")
    console.print(f"{stage}: {_photographs(kinds)}")
    kept = (
        (row.k_code, PARTS.get(row.split, row.split), ", ".join(f"{getattr(row, side):.1f}" for side in "xywh"))
        for row in photo.kept.itertuples()
    )
    if len(photo.kept):
        print_table(console, "Kept labels", ["K-code", "Part", "Box x, y, w, h in pixels"], kept)
    refused = ((row.reason, row.label_member.rpartition("/")[2], row.detail) for row in photo.refused.itertuples())
    if len(photo.refused):
        print_table(console, "Quarantined", ["Reason", "Label", "Detail"], refused)


def plain_console() -> Console:
    """Return a console that prints texts as they are."""
    # names and details hold brackets, which are no markup
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table below its title; a column that begins with `#` holds numbers."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(
            column.lstrip("#"),
            justify="right" if column.startswith("#") else "left",
            overflow="fold",
            no_wrap=column in ("Reason", "K-code"),  # reasons and codes are looked for: they stay whole
        )
    for row in rows:
        table.add_row(*row)
    console.print(f"\n{title}", style="bold")
    if table.row_count:
        console.print(table)


def _print_parts(console: Console, parts: Sequence[PartCount], *, drugs: bool) -> None:
    counted = ["photos", "pills", *(["drugs"] if drugs else []), "groups"]
    titles = {"groups": "#Capture groups"}
    columns = ["Part", "Domain", *(titles.get(name, f"#{name.capitalize()}") for name in counted)]
    rows = [(PARTS.get(one.part, "All"), one.domain, *(count(getattr(one, name)) for name in counted)) for one in parts]
    print_table(console, "Parts", columns, rows)


def _print_views(console: Console, views: Mapping[str, Sequence[tuple[str, int, int]]]) -> None:
    if not views:
        console.print("\nViews: the photographs' names tell nothing of background, side, light and angle")
        return
    rows = [(word, ", ".join(f"{value} {count(a + b)}" for value, a, b in counts)) for word, counts in views.items()]
    print_table(console, "Photographs by view (side: of single pills)", ["View", "Photos"], rows)


def _print_boxes(console: Console, boxes: Mapping[str, Mapping[str, Any]]) -> None:
    shown = {
        "area_share": ("share of the photograph's area", percent),
        "width_over_height": ("width over height", decimal),
        "short_side_px": ("shorter side, pixels", count),
    }
    rows = [
        (domain, words, *(text(values[name][p]) for p in PERCENTILES))
        for domain, values in boxes.items()
        for name, (words, text) in shown.items()
    ]
    print_table(console, "Boxes", ["Domain", "", "#5 %", "#50 %", "#95 %"], rows)


def _print_drugs(console: Console, summary: Mapping[str, Any]) -> None:
    edi = summary["edi_codes"]
    console.print(
        f"\n{plural(summary['drugs'], 'drug')}; Gini coefficient of their training pills "
        f"{summary['gini_of_training_pills']:.3f} (0: all have as many)"
    )
    console.print(
        f"EDI codes: {plural(edi['drugs_with_several'], 'drug')} with several, {count(edi['drugs_without'])} without, "
        f"{plural(len(edi['shared']), 'code')} shared by several drugs"
    )
    columns = ["K-code", "Drug", *(f"#{part}" for part in PARTS)]
    for title in ("Most training pills", "Fewest training pills"):
        shown = summary[title.lower().replace(" ", "_")][:SHOWN_DRUGS]
        rows = [(one["k_code"], one["name"], *(count(one[part]) for part in PARTS)) for one in shown]
        print_table(console, title, columns, rows)


def _print_outcomes(console: Console, summary: Mapping[str, Any]) -> None:
    for outcome in ("quarantined", "skipped"):
        photos, labels = (summary[kind][outcome] for kind in ("photos", "labels"))
        rows = [(name, count(photos.get(name, 0)), count(labels.get(name, 0))) for name in {**photos, **labels}]
        head = f"{outcome.capitalize()}{'' if rows else ': nothing'}"
        print_table(console, head, ["Reason", "#Photos", "#Labels"], rows)
    if summary["repaired"]:
        repairs = [(name, count(number)) for name, number in summary["repaired"].items()]
        print_table(console, "Repaired and kept", ["Repair", "#Rows"], repairs)
