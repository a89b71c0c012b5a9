"""Drugs enrolled from photographs: what their answers are worth, and what trained drugs lose."""

from typing import Any

from pillsnap.pages.formats import count, percent
from pillsnap.pages.table import Table, number
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """Held-out drugs by the number of photographs that they are enrolled with, and the trained drugs beside them."""
    found = inputs.references
    return Section(
        id="references",
        title="Drugs enrolled from photographs",
        tables={"new": _new(found["numbers"]), "trained": _trained(found)},
        values={"found": found},
    )


def _new(numbers: list[dict[str, Any]]) -> Table:
    shares = ("top1", "least", "most", "spread", "in_set", "unknown", "known", "right", "mistaken")
    titles = (
        "Photographs", "Drugs", "Named right", "Lowest drug", "Highest drug", "Spread", "In the set", "Unknown",
        "Known", "Right, if named", "Mistaken",
    )  # fmt: skip
    rows = [
        [count(one["references"]), count(one["drugs"]), *(percent(one[name]) for name in shares)] for one in numbers
    ]
    return Table("Pills of the held-out drugs", tuple(map(number, titles)), rows)


def _trained(found: dict[str, Any]) -> Table:
    head = ("Photographs", "Top-1", "Known", "Known and right, of known")
    each = [(count(one["references"]), one["trained"]) for one in found["numbers"]]
    rows = [
        [words, percent(one["top1"]), percent(one["known"]), percent(one["known_right"])]
        for words, one in [("none enrolled", found["trained"]), *each]
    ]
    return Table("Pills of the test part", (head[0], *map(number, head[1:])), rows)
