"""Differences between confused drugs, in words, and mistakes by the kind of difference."""

import pytest

from pillsnap.report.facts.look_alikes import (
    IMPRINT,
    LOOK,
    SAME,
    UNKNOWN,
    difference,
    mistakes_by_kind,
    mistakes_in_words,
)
from pillsnap.report.sections.classifier import drug_rows

PLAIN = {"form": "나정", "shape": "원형", "colours": "하양", "imprint_front": "AB12", "imprint_back": ""}
NOTHING = dict.fromkeys(PLAIN, "")


@pytest.mark.parametrize(
    ("other", "kind", "words"),
    [
        ({"imprint_front": "CD34"}, IMPRINT, "differ by imprint only (AB12 / CD34)"),
        ({"imprint_front": ""}, IMPRINT, "differ by imprint only (AB12 / none)"),
        ({"imprint_back": "분할선"}, IMPRINT, "differ by imprint only (AB12 / AB12 | score line)"),
        ({"imprint_front": "", "imprint_back": "AB12"}, SAME, "same shape, colour and imprint (AB12)"),
        ({"colours": "노랑,파랑"}, LOOK, "differ in colour (white / yellow and blue)"),
        (
            {"shape": "타원형", "colours": "노랑", "imprint_front": "CD34"},
            LOOK,
            "differ in shape (round / oval) and colour (white / yellow), and by imprint (AB12 / CD34)",
        ),
        ({"form": "필름코팅정"}, LOOK, "differ in form (uncoated tablet / film-coated tablet)"),
        ({"shape": "별형"}, LOOK, "differ in shape (round / 별형)"),
        ({"shape": "", "imprint_front": "CD34"}, UNKNOWN, "differ by imprint (AB12 / CD34), shape unknown"),
        ({"shape": "", "colours": ""}, UNKNOWN, "shape and colour unknown, so is what tells them apart"),
        ({"shape": "", "colours": "노랑"}, LOOK, "differ in colour (white / yellow)"),
        ({}, SAME, "same shape, colour and imprint (AB12)"),
    ],
)
def test_difference(other: dict, kind: str, words: str) -> None:
    found = difference(PLAIN, PLAIN | other)
    assert (found.kind, found.words) == (kind, words)


def test_without_any_imprint_it_is_unknown() -> None:
    blank = PLAIN | {"imprint_front": ""}
    assert difference(blank, blank).words == "same shape and colour, imprint unknown"
    assert difference(NOTHING, NOTHING).kind == UNKNOWN


DRUGS = {
    "K-1": PLAIN,
    "K-2": PLAIN | {"imprint_front": "CD34"},
    "K-3": PLAIN | {"colours": "노랑"},
    "K-4": NOTHING,
}
MISTAKES = [
    {"true": "K-1", "named": "K-2", "count": 5},
    {"true": "K-2", "named": "K-1", "count": 1},
    {"true": "K-1", "named": "K-3", "count": 3},
    {"true": "K-1", "named": "K-4", "count": 1},
]


def test_mistakes_are_counted_by_what_tells_the_drugs_apart() -> None:
    assert mistakes_by_kind(MISTAKES, DRUGS) == {LOOK: 3, IMPRINT: 6, SAME: 0, UNKNOWN: 1}
    assert mistakes_in_words(MISTAKES, DRUGS).replace("\u202f", " ") == (
        "Of 10 mistakes, 6 (60.0 %) are between drugs that differ by imprint only, 3 between drugs that differ in "
        "shape, colour or form and 1 between drugs of which the source does not say enough."
    )
    assert mistakes_in_words([], DRUGS) == ""


def test_drugs_are_listed_worst_first_with_what_their_number_leaves_open() -> None:
    by_drug = [
        {"k_code": "K-1", "name": "하나", "pills": 10, "top1": 1.0},
        {"k_code": "K-3", "name": "셋", "pills": 10, "top1": 0.5},
        {"k_code": "K-2", "name": "둘", "pills": 20, "top1": 0.5},
    ]
    rows = drug_rows(by_drug, DRUGS, 2)
    assert [row[0] for row in rows] == ["K-2", "K-3"]
    assert rows[1][4:] == ["23.7\u2009–\u200976.3\u202f%", "round", "yellow", "AB12"]
