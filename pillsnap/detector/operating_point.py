"""Precision and recall of the detector at one score, and the score to choose."""

from collections.abc import Sequence
from typing import Any

from pillsnap.answers.accuracy import DetectorResult
from pillsnap.pictures.boxes import match_boxes

SCORES = tuple(step / 20 for step in range(1, 20))
"""Scores to choose from: 0.05 to 0.95."""


def matched_at(result: DetectorResult, score: float, *, min_iou: float) -> list[tuple[int, int]]:
    """Pairs (index of a detection from `score` on, index of the labelled pill) that match."""
    found = result.found_boxes[result.found_scores >= score]
    return match_boxes(found, result.boxes, min_iou=min_iou)


def operating_point(results: Sequence[DetectorResult], score: float, *, min_iou: float) -> dict[str, Any]:
    """Measure fully labelled photographs, backgrounds among them, with the boxes from `score` on.

    Returns:
        `precision` (`None` without boxes), `recall` (`None` without pills), `f1` and `extra_per_photo`: boxes that are
        no pill.
    """
    results = [result for result in results if result.fully_labelled]
    pills = sum(len(result.boxes) for result in results)
    boxes = sum(int((result.found_scores >= score).sum()) for result in results)
    right = sum(len(matched_at(result, score, min_iou=min_iou)) for result in results)
    return {
        "precision": right / boxes if boxes else None,
        "recall": right / pills if pills else None,
        "f1": 2 * right / (pills + boxes) if pills + boxes else 0.0,
        "extra_per_photo": (boxes - right) / len(results) if results else None,
    }


def best_score(results: Sequence[DetectorResult], backgrounds: Sequence[DetectorResult], *, min_iou: float) -> float:
    """Return the one of `SCORES` with the highest F1, the lowest of several."""
    every = [*results, *backgrounds]
    return max(SCORES, key=lambda score: (operating_point(every, score, min_iou=min_iou)["f1"], -score))
