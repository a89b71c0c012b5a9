"""Answers to both sides of a pill, measured on pairs of test photographs."""

from dataclasses import replace

import numpy as np
import pytest

from pillsnap.answers.accuracy import PhotoResult
from pillsnap.answers.calibration import Calibration
from pillsnap.benchmark.same_pill import same_pill_metrics

BOX = np.array([[10.0, 10.0, 40.0, 40.0]])
SINGLE = Calibration(1.0, 0.95, 5.0, 9.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
BOTH = replace(SINGLE, pairs=replace(SINGLE, known_from=0.7))
DRUG_OF = {f"{name}.{side}": name for name in ("a", "b", "new") for side in "12"}


def photo(
    image_id: str, target: int, logits: tuple[float, float], *, distance: float = 1.0, pills: int = 1
) -> PhotoResult:
    """A photograph of one pill, in which so many are found."""
    return PhotoResult(
        image_id=image_id, fully_labelled=True, width=100, height=100, boxes=BOX, found_boxes=np.repeat(BOX, pills, 0),
        found_scores=np.full(pills, 0.9), domain="single", targets=np.array([target]),
        label_guesses=np.zeros((1, 2), int), answered=min(pills, 1),
        answer_logits=np.array([logits] * min(pills, 1)).reshape(-1, 2),
        answer_distances=np.full(min(pills, 1), distance),
    )  # fmt: skip


# a is named right from both photographs though the second one alone is wrong; b is right throughout
TESTED = [
    photo("a.1", 0, (3.0, 0.0)), photo("a.2", 0, (0.0, 1.0)), photo("b.1", 1, (0.0, 2.0)), photo("b.2", 1, (0.0, 2.0)),
]  # fmt: skip
STRANGE = [photo("new.1", -1, (5.0, 0.0), distance=20.0), photo("new.2", -1, (5.0, 0.0))]


def measured(results: list[PhotoResult], calibration: Calibration = BOTH, unseen: list[PhotoResult] = STRANGE) -> dict:
    return same_pill_metrics(results, unseen, drug_of=DRUG_OF, calibration=calibration, min_iou=0.5, min_score=0.5)


def test_both_sides_stand_beside_one_photograph() -> None:
    found = measured(TESTED)
    assert {key: found[key] for key in ("photos", "usable", "pairs", "calibrated")} == {
        "photos": 4, "usable": 4, "pairs": 2, "calibrated": True,
    }  # fmt: skip
    one, both = found["one"], found["both"]
    assert (one["top1"], one["known"], one["known_right"]) == (0.75, 0.25, 1.0)
    assert (both["top1"], both["known"], both["known_right"]) == (1.0, 1.0, 1.0)
    assert (one["unseen"], one["unseen_not_known"]) == (2, 0.5)
    assert (both["unseen"], both["unseen_not_known"]) == (1, 1.0), "far away on average"


@pytest.mark.parametrize(("agree_from", "known"), [(None, 4), (0.4, 2), (0.99, 0)])
def test_photographs_of_different_drugs_that_are_known(agree_from: float | None, known: int) -> None:
    """Of a.1 and a.2 with b.1 and b.2: a.1 disagrees with both, and a.2, which is taken for b, with none."""
    calibration = replace(BOTH, pairs=replace(SINGLE, known_from=0.7, agree_from=agree_from))
    found = measured(TESTED, calibration, unseen=[])["unlike"]
    assert (found["pairs"], round(found["known"] * found["pairs"])) == (4, known)


def test_without_thresholds_of_pairs_none_is_known() -> None:
    found = measured(TESTED, SINGLE)
    assert (found["calibrated"], found["both"]["known"], found["both"]["known_right"]) == (False, 0.0, None)


@pytest.mark.parametrize("pills", [0, 2])
def test_photographs_that_would_be_refused_are_in_no_pair(pills: int) -> None:
    found = measured([*TESTED[:3], photo("b.2", 1, (0.0, 2.0), pills=pills)])
    assert (found["photos"], found["usable"], found["pairs"]) == (4, 3, 1)


@pytest.mark.parametrize("results", [[], TESTED[:1], [TESTED[0], TESTED[2]]], ids=["none", "one", "of two drugs"])
def test_without_pairs_nothing_is_measured(results: list[PhotoResult]) -> None:
    assert measured(results) is None


def test_without_held_out_drugs_nothing_is_said_of_them() -> None:
    found = measured(TESTED, unseen=[])
    assert (found["both"]["unseen"], found["both"]["unseen_not_known"]) == (0, None)
