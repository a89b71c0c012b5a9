"""Tables of an evaluation's figures, for its own page and for the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.pages.formats import count, percent, plural
from pillsnap.pages.table import Column, Rows, Table, number

_FIGURES: list[str | Column] = [
    number(title) for title in ("Pills", "Recall", "Boxes", "Precision", "mAP@0.5", "mAP@0.5:0.95")
]
VERDICTS = {"known": "Known", "uncertain": "Uncertain", "unknown": "Unknown"}


def size_table(by_size: Sequence[Mapping[str, Any]]) -> Table:
    """Pills and boxes by their size."""
    rows = [[_size(row), *_cells(row)] for row in by_size]
    return Table("By the pill's longer side, as a share of the picture's", ["Longer side", *_FIGURES], rows)


def number_table(by_number: Sequence[Mapping[str, Any]]) -> Table:
    """Pills and boxes by the number of pills in the picture."""
    rows = [[_number(row), count(row["photos"]), *_cells(row)] for row in by_number]
    head = ["Pills in the picture", number("Pictures"), *_FIGURES]
    return Table("By the number of pills in the picture", head, rows)


def verdict_table(found: Mapping[str, Any]) -> Table:
    """Boxes by verdict; on pills and on no pill where labels have boxes, right where drugs are compared."""
    boxed, drugs = found["found"] is not None, found["drugs"]
    head: list[str | Column] = ["Verdict", number("Boxes")]
    head += [number("On pills"), number("On no pill"), number("Left out")] if boxed else []
    head += [number("Named right")] if drugs else []
    rows: Rows = []
    for verdict, word in VERDICTS.items():
        counts = found["verdicts"][verdict]
        row = [word, count(counts["boxes"])]
        row += [count(counts[name]) for name in ("on_pills", "no_pill", "left_out")] if boxed else []
        row += [percent(drugs["verdicts"][verdict]["right"])] if drugs else []
        rows.append(row)
    return Table("What the boxes are called", head, rows)


def drug_rows(drugs: Mapping[str, Any]) -> Rows:
    """Figures of the drugs, a row each."""
    rows = [
        ["Pills of drugs that the model knows", count(drugs["pills"])],
        ["Other pills", count(drugs["other_pills"])],
    ]
    if "top1" in drugs:
        rows += [
            ["top-1 on the labelled boxes", percent(drugs["top1"], 2)],
            ["top-5 on the labelled boxes", percent(drugs["top5"], 2)],
            ["Found and named right", percent(drugs["named_right"], 2)],
        ]
    else:
        rows += [
            ["Photographs without a box", count(drugs["without_box"])],
            ["Named right, by the photograph's best box", percent(drugs["named_right"], 2)],
        ]
    return rows


def photo_words(facts: Mapping[str, Any]) -> str:
    """Say how many pills of a photograph are found, and how many boxes are false."""
    return f"{count(facts['found'])} of {plural(facts['pills'], 'pill')} found, {plural(facts['false'], 'false box')}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    shares = (percent(row["recall"]), count(row["boxes"]), percent(row["precision"]))
    return [count(row["pills"]), *shares, percent(row["map50"]), percent(row["map50_95"])]


def _size(row: Mapping[str, Any]) -> str:
    least, most = percent(row["least"], 0), row["most"]
    if most is None:
        return f"from {least}"
    return f"{least} to {percent(most, 0)}" if row["least"] else f"below {percent(most, 0)}"


def _number(row: Mapping[str, Any]) -> str:
    least, most = row["least"], row["most"]
    return f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
