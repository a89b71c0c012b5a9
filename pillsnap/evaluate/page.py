"""The page of an evaluation: one HTML file that opens offline."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.evaluate.pictures import Drawn
from pillsnap.evaluate.tables import drug_rows, number_table, photo_words, size_table, verdict_table
from pillsnap.pages import html
from pillsnap.pages.formats import count, percent, plural
from pillsnap.pages.quarantine import account, outcome_tables
from pillsnap.pages.table import Table, number
from pillsnap.sources.registry import get_kind

SECTIONS = {"found": "Pills and boxes", "answers": "Answers", "worst": "Photographs", "data": "Data"}


def render_evaluation(found: Mapping[str, Any], drawn: Sequence[Drawn]) -> str:
    """Return the page's HTML; the same figures and pictures give the same text.

    Args:
        found: of `evaluate`.
        drawn: the photographs on which most goes wrong.
    """
    kind, boxed = found["data"]["kind"], found["found"] is not None
    sections = [(id, title) for id, title in SECTIONS.items() if (boxed or id != "found") and (drawn or id != "worst")]
    return html.render_page(
        "evaluate/page.html.jinja",
        sources={found["data"]["name"]: kind},
        page="evaluation",
        kind=get_kind(kind),
        found=found,
        tiles=tiles(found),
        tables=_tables(found),
        accounts=[account(kind, found["accounts"][kind]) for kind in ("photos", "labels")],
        pictures=[_picture(one) for one in drawn],
        sections=sections,
    )


def tiles(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the figures that a hurried reader takes away."""
    shown: list[dict[str, str]] = []
    if rates := found["found"]:
        recall, precision = (percent(rates[name]) for name in ("recall", "precision"))
        shown += [
            html.tile("Pills found", recall, f"recall, {count(rates['found'])} of {count(rates['pills'])}"),
            html.tile(
                "Boxes that are pills", precision, f"precision, {count(rates['right'])} of {count(rates['boxes'])}"
            ),
            html.tile("mAP@0.5", percent(rates["map50"]), f"mAP@0.5:0.95 {percent(rates['map50_95'])}"),
        ]
    boxes = sum(one["boxes"] for one in found["verdicts"].values())
    shown.append(html.tile("Called known", count(found["verdicts"]["known"]["boxes"]), f"of {plural(boxes, 'box')}"))
    if drugs := found["drugs"]:
        note = "of the pills, found and named" if found["found"] else "by the photograph's best box"
        shown.append(html.tile("Drug named right", percent(drugs["named_right"]), note))
    return shown


def _picture(one: Drawn) -> html.Picture:
    words = photo_words(one.facts())
    return html.Picture(html.data_uri(one.jpeg), f"{one.photo.member} with the answer's boxes: {words}.", words)


def _tables(found: Mapping[str, Any]) -> dict[str, Table]:
    tables = {
        "by_size": size_table(found["by_size"]),
        "by_number": number_table(found["by_number"]),
        "verdicts": verdict_table(found),
        "drugs": Table("Drugs", ("", number("")), drug_rows(found["drugs"]) if found["drugs"] else []),
    }
    return tables | outcome_tables(found["accounts"], "Quarantined")
