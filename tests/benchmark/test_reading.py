"""Accuracy of what is read, counted by hand."""

import numpy as np
import pytest

from pillsnap.answers.answer import Answer, Candidate, Pill, Reading
from pillsnap.benchmark.reading import read_pills_of, reading_metrics
from pillsnap.reader.looks import Looks

LOOKS = {
    "K-1": Looks(("AB1", ""), "round", frozenset({"white"})),
    "K-2": Looks(("C2", "D3"), "oval", frozenset({"red", "white"})),
    "K-3": Looks(("", ""), None, frozenset()),
}


def reading(imprint: str, sure: float = 0.9, shape: str = "round", colours: tuple[str, ...] = ("white",)) -> Reading:
    return Reading(imprint, sure, imprint, shape, 0.9, colours, 0.9, contradicts=imprint == "XX")


def test_shares_by_hand() -> None:
    pills = [
        ("K-1", reading("AB1")),
        ("K-1", reading("", 0.4)),  # its back
        ("K-1", reading("A81", 0.3, "oval")),
        ("K-2", reading("D3", 0.9, "oval", ("white", "red"))),
        ("K-2", reading("", 0.9, "oval", ("red",))),
        ("K-3", reading("XX", 0.6)),
        ("K-9", reading("AB1")),  # no label tells of it
    ]
    found = reading_metrics(pills, LOOKS)
    assert found and found.pop("both_printed") == {"pills": 2, "imprint": 1 / 2}
    # in bins: 0.3 wrong, 0.4 right, 0.6 wrong, and 0.9 with two of three right
    found_ece = (abs(0 - 0.3) + abs(1 - 0.4) + abs(0 - 0.6) + 3 * abs(2 / 3 - 0.9)) / 6
    assert found == pytest.approx(
        {
            "pills": 6,
            "imprint": 3 / 6,
            "imprint_ece": found_ece,
            "imprint_told": 4 / 6,
            "imprint_right_if_told": 2 / 4,
            "shape": 4 / 5,
            "colours": 4 / 5,
            "contradicts": 1 / 6,
        }
    )


def test_nothing_is_told_of_nothing() -> None:
    assert reading_metrics([], LOOKS) is None
    assert reading_metrics([("K-9", reading("AB1"))], LOOKS) is None


def test_pills_are_those_that_the_answer_found() -> None:
    candidate = (Candidate("K-1", (), "", 1.0),)
    boxes = [(0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 10.0, 10.0), (90.0, 0.0, 10.0, 10.0)]
    pills = [Pill(box, 0.9, "known", candidate, candidate, reading(str(n))) for n, box in enumerate(boxes)]
    answer = Answer("combo", 100, 100, (*pills[:2], Pill(boxes[2], 0.9, "known", candidate, candidate)))
    labelled = np.array([boxes[2], boxes[1], (30.0, 30.0, 9.0, 9.0)])
    found = read_pills_of(answer, ["K-3", "K-2", "K-1"], labelled, 0.5)
    assert [(k_code, one.imprint) for k_code, one in found] == [("K-2", "1")]
