"""What was read of the test part's pills."""

from typing import Any

from pillsnap.pages.formats import decimal, percent
from pillsnap.pages.table import Rows, Table, number


def reading_table(found: dict[str, Any]) -> Table:
    """Shares read right, of trained and of never-seen drugs; without rows where nothing was read."""
    head = ("", number("Trained drugs"), number("Never-seen drugs"))
    return Table("What is read of a pill", head, _rows(found["seen"], found["unseen"]) if found["seen"] else [])


def _rows(seen: dict[str, Any], unseen: dict[str, Any] | None) -> Rows:
    shares = (
        ("Whole imprint, of either side", "imprint"),
        ("Imprints that are shown (confidence of 50 % or more)", "imprint_told"),
        ("Right among those shown", "imprint_right_if_told"),
        ("Shape", "shape"),
        ("Colours, all of them and no other", "colours"),
        ("Imprint that contradicts the first candidate", "contradicts"),
    )
    each = [seen, unseen or {}]
    rows: list[list[str]] = [["Pills", *(str(one.get("pills", 0)) for one in each)]]
    rows += [[words, *(percent(one.get(name), 1) for one in each)] for words, name in shares]
    printed = [one.get("both_printed", {}).get("imprint") for one in each]
    rows.insert(2, ["Whole imprint, of drugs with one on each side", *(percent(value, 1) for value in printed)])
    return [*rows, ["Calibration error of imprints (ECE)", *(decimal(one.get("imprint_ece"), 4) for one in each)]]
