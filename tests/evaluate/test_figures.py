"""Figures of a handful of boxes, counted by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pillsnap.answers.accuracy import PhotoResult, likeliest, map_by_size
from pillsnap.answers.calibration import Calibration
from pillsnap.evaluate.figures import figures
from pillsnap.evaluate.measured import Measured, worst

SURE = Calibration(1.0, 0.9, 10.0, 20.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
"""Known from probability 0.9 on below distance 10, unknown from distance 20 on."""
BIG, MIDDLE, SMALL = (10.0, 10.0, 30.0, 20.0), (50.0, 50.0, 10.0, 8.0), (80.0, 80.0, 4.0, 5.0)
BESIDE = (10.0, 60.0, 30.0, 30.0)
EVERY = {"known": 5.0, "uncertain": 15.0, "unknown": 25.0}
"""Distance that gives each verdict to a sure answer."""


def photo(
    name: str,
    labelled: list[tuple],
    answered: list[tuple],
    *,
    weak: Sequence[tuple] = (),
    verdicts: str | list[str] = "unknown",
    named: list[int] | None = None,
    targets: list[int] | None = None,
    unlabelled: int = 0,
    group: str = "",
    drug: int | None = None,
) -> Measured:
    """A photograph of 100 x 80 pixels, with its labels, the answer's boxes, weaker ones, and pills without a label."""
    given = [verdicts] * len(answered) if isinstance(verdicts, str) else verdicts
    classes = np.array([-1] * len(labelled) if targets is None else targets, int)
    logits = 10 * np.eye(3)[np.array(named or [0] * len(answered), int)]
    boxes = [*answered, *weak]
    result = PhotoResult(
        image_id=f"test.{name}",
        fully_labelled=not unlabelled,
        width=100,
        height=80,
        boxes=np.array(labelled, float).reshape(-1, 4),
        found_boxes=np.array(boxes, float).reshape(-1, 4),
        found_scores=np.linspace(0.9, 0.05, len(boxes)),
        domain="combo",
        targets=classes,
        label_guesses=likeliest(np.eye(3)[np.maximum(classes, 0)]),
        answered=len(answered),
        answer_logits=logits,
        answer_distances=np.array([EVERY[verdict] for verdict in given]),
    )
    return Measured("test", name, group or name, len(labelled) + unlabelled, result, drug)


FULL = photo("full", [BIG, MIDDLE, SMALL], [BIG, BESIDE], weak=[SMALL], verdicts=["known", "unknown"])
PARTLY = photo("partly", [MIDDLE], [MIDDLE, BESIDE], verdicts=["uncertain", "known"], unlabelled=4)
EMPTY = photo("empty", [], [SMALL])
BARE = photo("bare", [], [])


def of(*photos: Measured) -> dict[str, Any]:
    return figures(photos, SURE, "combo")


def test_recall_is_of_all_labels_and_precision_of_boxes_that_can_be_judged() -> None:
    found = of(FULL, PARTLY, EMPTY, BARE)["found"]
    assert (found["photos"], found["pills"], found["found"]) == (4, 4, 2)
    assert (found["boxes"], found["right"]) == (3, 1), "those of the photograph that is labelled in part are left out"
    assert (found["recall"], found["precision"]) == (0.5, 1 / 3)
    assert found["partly_labelled"] == {"photos": 1, "left_out": 1}
    # by score: right, wrong, (empty:) wrong, right; one of three pills at precision 1, another at 2/4
    assert found["map50"] == pytest.approx((34 * 1 + 33 * 0.5) / 101)


def test_backgrounds() -> None:
    assert of(FULL, EMPTY, BARE)["backgrounds"] == {"photos": 2, "with_boxes": 1, "boxes": 1}
    assert "backgrounds" not in of(FULL, PARTLY)


def test_by_size() -> None:
    rows = {(row["least"], row["most"]): row for row in of(FULL, PARTLY, EMPTY)["by_size"]}
    counts = {size: [row[name] for name in ("pills", "found", "boxes", "right")] for size, row in rows.items()}
    assert counts == {(0.03, 0.06): [1, 0, 1, 0], (0.06, 0.12): [2, 1, 0, 0], (0.25, 0.5): [1, 1, 2, 1]}
    assert (rows[0.25, 0.5]["recall"], rows[0.25, 0.5]["precision"]) == (1.0, 0.5)
    assert rows[0.25, 0.5]["map50"] == pytest.approx(1), "what is beside it has a lower score"
    assert rows[0.06, 0.12]["map50"] == 0, "that of the photograph labelled in part does not count"
    assert 0 < rows[0.03, 0.06]["map50"] < 1, "found by a weak box, behind a wrong one"


def test_by_number_of_pills() -> None:
    many = photo("many", [BIG] * 20, [])
    rows = of(FULL, PARTLY, EMPTY, many)["by_number"]
    found = {(row["least"], row["most"]): (row["photos"], row["pills"], row["recall"]) for row in rows}
    assert found == {(2, 4): (1, 3, 1 / 3), (5, 9): (1, 1, 1.0), (20, None): (1, 20, 0.0)}


def test_verdicts() -> None:
    counts = of(FULL, PARTLY, EMPTY)["verdicts"]
    assert {verdict: tuple(row.values()) for verdict, row in counts.items()} == {
        "known": (2, 1, 0, 1),
        "uncertain": (1, 1, 0, 0),
        "unknown": (2, 0, 2, 0),
    }


def test_drugs() -> None:
    assert of(FULL, PARTLY)["drugs"] is None
    named = photo("named", [BIG, MIDDLE, SMALL], [BIG, MIDDLE], targets=[1, 2, -1], named=[1, 0], verdicts="known")
    drugs = of(named, EMPTY)["drugs"]
    assert (drugs["pills"], drugs["other_pills"], drugs["top1"], drugs["named_right"]) == (2, 1, 1.0, 0.5)
    assert drugs["verdicts"]["known"] == {"pills": 2, "right": 0.5}
    assert drugs["verdicts"]["unknown"] == {"pills": 1, "right": 0.0}


def test_photographs_of_one_pill_without_a_labelled_box() -> None:
    right, wrong = photo("a", [], [BIG, SMALL], named=[1, 0], drug=1), photo("b", [], [BIG], named=[1], drug=0)
    none, other = photo("c", [], [], drug=2), photo("d", [], [BIG], drug=-1)
    found = of(right, wrong, none, other)
    assert (found["found"], found["by_size"], found["by_number"]) == (None, [], [])
    assert (found["drugs"]["pills"], found["drugs"]["other_pills"], found["drugs"]["without_box"]) == (3, 1, 1)
    assert found["drugs"]["named_right"] == pytest.approx(1 / 3)
    assert found["drugs"]["verdicts"]["unknown"] == {"pills": 2, "right": 0.5}
    assert found["verdicts"]["unknown"] == {"boxes": 4, "on_pills": 0, "no_pill": 0, "left_out": 0}
    assert of(other)["drugs"] is None and of(none)["drugs"]["named_right"] == 0


@pytest.mark.parametrize("results", [[], [BARE.result], [PARTLY.result]], ids=["none", "background", "partly"])
def test_map_by_size_of_nothing(results: list[PhotoResult]) -> None:
    assert map_by_size(results, (0, 0.5, 1.1)) == [{"map50": None, "map50_95": None}] * 2


def test_map_by_size_without_a_box() -> None:
    assert map_by_size([photo("none", [BIG], []).result], (0, 0.2, 1.1))[1] == {"map50": 0.0, "map50_95": 0.0}


def test_the_worst_photographs_come_first_and_copies_once() -> None:
    bad, copy = photo("1", [BIG, MIDDLE], [BESIDE], group="g"), photo("2", [BIG, MIDDLE], [BESIDE], group="g")
    right = photo("3", [BIG], [BIG])
    assert worst([right, PARTLY, copy, EMPTY, bad], 12) == [bad, EMPTY]
    assert worst([EMPTY, FULL, bad], 1) == [bad]
