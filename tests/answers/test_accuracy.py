"""Metrics of the test part against figures worked out by hand."""

import json
from typing import Any

import numpy as np
import pytest

from pillsnap.answers.accuracy import (
    PhotoResult,
    answer_predictions,
    classifier_metrics,
    confused_pairs,
    detector_metrics,
    likeliest,
    pipeline_metrics,
)

BOX, OTHER = (10.0, 10.0, 40.0, 40.0), (100.0, 60.0, 50.0, 30.0)
FAR = (150.0, 150.0, 20.0, 20.0)


def result(
    boxes: list[tuple[float, ...]],
    found: list[tuple[tuple[float, ...], float]] = (),
    *,
    targets: list[int] | None = None,
    named: list[list[float]] | None = None,
    answered: int | None = None,
    answers: list[list[float]] | None = None,
    domain: str = "combo",
    fully_labelled: bool = True,
) -> PhotoResult:
    """A photograph of 200 x 200 pixels; `found` are boxes with scores, `named` and `answers` are logits."""
    return PhotoResult(
        image_id="photo",
        domain=domain,
        fully_labelled=fully_labelled,
        width=200,
        height=200,
        boxes=np.array(boxes, float).reshape(-1, 4),
        targets=np.array(targets if targets is not None else [0] * len(boxes)),
        found_boxes=np.array([box for box, _ in found], float).reshape(-1, 4),
        found_scores=np.array([score for _, score in found], float),
        answered=len(found) if answered is None else answered,
        label_guesses=likeliest(np.array(named or [[1.0, 0.0]] * len(boxes), float).reshape(len(boxes), -1)),
        answer_logits=np.array(answers or [[1.0, 0.0]] * len(found), float).reshape(-1, 2),
        answer_distances=np.arange(len(found), dtype=float),
    )


# COCO's average precision is the mean of the best precision at recalls 0, 0.01, ... 1: 101 points
@pytest.mark.parametrize(
    ("photos", "map50", "map50_95"),
    [
        ([result([BOX, OTHER], [(BOX, 0.9), (OTHER, 0.8)])], 1.0, 1.0),
        ([result([BOX, OTHER], [(BOX, 0.9)])], 51 / 101, 51 / 101),
        ([result([BOX], [(FAR, 0.9), (BOX, 0.8)])], 0.5, 0.5),
        ([result([BOX], [(BOX, 0.9), (FAR, 0.8)])], 1.0, 1.0),
        ([result([BOX], [(BOX, 0.9), (BOX, 0.8)]), result([OTHER], [(OTHER, 0.7)])], (51 + 50 * 2 / 3) / 101, None),
        ([result([(0, 0, 100, 100)], [((0, 0, 62, 100), 0.9)])], 1.0, 0.3),
        ([result([(0, 0, 100, 100)], [((0, 0, 49, 100), 0.9)])], 0.0, 0.0),
        ([result([BOX], [(BOX, 0.9)]), result([BOX, OTHER], [(BOX, 0.9)], fully_labelled=False)], 1.0, 1.0),
        ([result([BOX])], 0.0, 0.0),
    ],
    ids=[
        "perfect",
        "half found",
        "false one first",
        "false one last",
        "found twice",
        "IoU 0.62",
        "IoU 0.49",
        "partly labelled",
        "nothing found",
    ],
)
def test_detector_metrics(photos: list[PhotoResult], map50: float, map50_95: float | None) -> None:
    metrics = detector_metrics(photos)
    assert metrics["map50"] == pytest.approx(map50, abs=1e-6)
    if map50_95 is not None:
        assert metrics["map50_95"] == pytest.approx(map50_95, abs=1e-6)
    assert metrics["photos"] == sum(photo.fully_labelled for photo in photos)
    assert metrics["pills"] == sum(len(photo.boxes) for photo in photos if photo.fully_labelled)


@pytest.mark.parametrize("photos", [[], [result([BOX], [(BOX, 0.9)], fully_labelled=False)]], ids=["none", "partly"])
def test_detector_is_not_measured_without_fully_labelled_photographs(photos: list[PhotoResult]) -> None:
    metrics = detector_metrics(photos)
    assert (metrics["map50"], metrics["map50_95"], metrics["pr_curve"]) == (None, None, [])
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_precision_recall_curve_has_coco_recalls() -> None:
    curve = detector_metrics([result([BOX, OTHER], [(BOX, 0.9), (FAR, 0.8), (OTHER, 0.7)])])["pr_curve"]
    assert [point["recall"] for point in curve] == [round(n / 100, 2) for n in range(101)]
    assert [point["precision"] for point in curve] == pytest.approx([1.0] * 51 + [2 / 3] * 50, abs=1e-6)


def probabilities(*best: int, classes: int = 7) -> list[list[float]]:
    """Rows in which class `best` leads and the others follow by their number."""
    rows = []
    for first in best:
        order = [first, *(number for number in range(classes) if number != first)]
        rows.append([0.5 ** order.index(number) for number in range(classes)])
    return rows


def test_classifier_metrics_by_hand() -> None:
    """Of drugs 0, 1, 6: two of two, one of two, none of one; the last is not among the best five."""
    photos = [
        result([BOX, OTHER], targets=[0, 0], named=probabilities(0, 0)),
        result([BOX, OTHER, FAR], targets=[1, 1, 6], named=probabilities(1, 0, 2)),
    ]
    metrics = classifier_metrics(photos)
    f1 = [2 * (2 / 3) * 1 / (2 / 3 + 1), 2 * 1 * 0.5 / 1.5, 0]
    assert metrics["top1"] == pytest.approx(3 / 5)
    assert metrics["top5"] == pytest.approx(4 / 5)
    assert metrics["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert metrics["pills"] == 5


def test_macro_f1_counts_drugs_of_the_test_part_only() -> None:
    perfect = classifier_metrics([result([BOX], targets=[3], named=probabilities(3))])
    assert (perfect["top1"], perfect["top5"], perfect["macro_f1"]) == (1.0, 1.0, 1.0)


RIGHT, WRONG = [1.0, 0.0], [0.0, 1.0]


@pytest.mark.parametrize(
    ("photo", "found", "correct", "extra"),
    [
        (result([BOX, OTHER], [(BOX, 0.9), (OTHER, 0.8)], answers=[RIGHT, RIGHT]), 1.0, 1.0, 0.0),
        (result([BOX, OTHER], [(BOX, 0.9), (OTHER, 0.8)], answers=[RIGHT, WRONG]), 1.0, 0.5, 0.0),
        (result([BOX, OTHER], [(BOX, 0.9), (FAR, 0.8)], answers=[RIGHT, RIGHT]), 0.5, 0.5, 1.0),
        (result([BOX, OTHER], [(BOX, 0.9), (OTHER, 0.1)], answered=1, answers=[RIGHT]), 0.5, 0.5, 0.0),
        (result([BOX], [(BOX, 0.9), (BOX, 0.8)], answers=[RIGHT, RIGHT]), 1.0, 1.0, 1.0),
        (result([BOX, OTHER]), 0.0, 0.0, 0.0),
        (result([BOX], [(BOX, 0.9), (FAR, 0.8)], fully_labelled=False), 1.0, 1.0, None),
    ],
    ids=["all", "one named wrong", "one elsewhere", "below the threshold", "found twice", "nothing", "partly labelled"],
)
def test_pipeline_metrics(photo: PhotoResult, found: float, correct: float, extra: float | None) -> None:
    expected = {"combo_correct": correct, "combo_found": found, "combo_extra_per_photo": extra}
    assert pipeline_metrics([photo], 0.5) == expected


def test_pipeline_metrics_by_domain() -> None:
    single = result([BOX], [(BOX, 0.9)], domain="single", answers=[WRONG])
    metrics = pipeline_metrics([single, result([BOX], [(BOX, 0.9)], answers=[RIGHT])], 0.5)
    assert (metrics["single_correct"], metrics["combo_correct"]) == (0.0, 1.0)


def test_confused_pairs_most_frequent_first() -> None:
    targets: list[Any] = [0, 0, 1, 2, 2, 2]
    photo = result([BOX] * 6, targets=targets, named=probabilities(1, 1, 0, 2, 0, 1, classes=3))
    assert confused_pairs([photo]) == [(0, 1, 2), (1, 0, 1), (2, 0, 1), (2, 1, 1)]
    assert confused_pairs([photo], at_most=1) == [(0, 1, 2)]


def test_named_pills_are_those_of_answers_with_what_they_are() -> None:
    """A box that is no pill counts as named wrong; without full labels nobody knows, and it is left out."""
    found = [(OTHER, 0.9), (FAR, 0.8), (BOX, 0.7)]
    whole = result([BOX, OTHER], found, targets=[0, 1])
    partly = result([BOX], found, targets=[1], fully_labelled=False)
    pills = answer_predictions([whole, partly], 0.5)
    assert pills.targets.tolist() == [1, -1, 0, 1]
    assert pills.distances.tolist() == [0, 1, 2, 2]
    assert pills.logits.shape == (4, 2)
