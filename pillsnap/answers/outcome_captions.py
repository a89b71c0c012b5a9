"""Captions that show in a photograph what was found, what is no pill, and what was missed."""

from collections.abc import Mapping

from pillsnap.answers.accuracy import DetectorResult
from pillsnap.pictures.draw import PLAIN, RIGHT, WRONG, Caption


def outcome_captions(result: DetectorResult, found: int, matches: Mapping[int, int]) -> list[Caption]:
    """Captions of the boxes that count, with their scores, and of the pills that are missed, without a word."""
    missed = set(range(len(result.boxes))) - set(matches.values())
    boxes = [
        Caption(result.found_boxes[number].tolist(), f"{result.found_scores[number]:.2f}", colour)
        for number in range(found)
        for colour in [RIGHT if number in matches else WRONG]
    ]
    return boxes + [Caption(result.boxes[number].tolist(), "", PLAIN) for number in sorted(missed)]
