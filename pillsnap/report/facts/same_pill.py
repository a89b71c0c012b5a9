"""Answers to both sides of a pill beside answers to one."""

from typing import Any

from pillsnap.pages.formats import decimal, percent
from pillsnap.pages.table import Rows, Table, number


def same_pill_table(found: dict[str, Any] | None) -> Table:
    """Figures of one photograph and of both sides; without rows where there were no pairs."""
    head = ("", number("One photograph"), number("Both sides"))
    return Table("Answers to both sides of a pill", head, _rows(found) if found else [])


def _rows(found: dict[str, Any]) -> Rows:
    shares = (
        ("Named right", "top1"),
        ("Called known", "known"),
        ("Right among known", "known_right"),
        ("Called unknown", "unknown"),
        ("Never-seen drugs that are not known", "unseen_not_known"),
    )
    each = [found["one"], found["both"]]
    rows: list[list[str]] = [[words, *(percent(one[name], 2) for one in each)] for words, name in shares]
    return [*rows, ["Calibration error (ECE)", *(decimal(one["ece"], 4) for one in each)]]
