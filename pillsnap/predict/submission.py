"""The table that the course on AIHub's data asks for: one row a pill, everything in it a number."""

import csv
import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TextIO

from pillsnap.predict.photo_paths import Photo
from pillsnap.predict.stream import Outcome, Unusable
from pillsnap.tables.classes import DrugClass

COLUMNS = ("annotation_id", "image_id", "category_id", "bbox_x", "bbox_y", "bbox_w", "bbox_h", "score")


class SubmissionError(ValueError):
    """A photograph or a drug that has no number, or shares it with another."""


class SubmissionWriter:
    """One row a pill; a photograph without pills, or one that cannot be used, has none."""

    def __init__(self, stream: TextIO) -> None:
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._written = 0

    def write(self, outcome: Outcome) -> None:
        if isinstance(outcome, Unusable):
            return
        image = image_number(outcome.photo)
        for pill in outcome.answer.pills:
            best = pill.candidates[0]
            self._written += 1
            box = [round(value, 2) for value in pill.box]
            # of an enrolled drug no probability is known: the score says that there is a pill
            score = round(pill.score * (1 if best.confidence is None else best.confidence), 6)
            self._rows.writerow([self._written, image, category_number(best.k_code), *box, score])

    def end(self) -> None:
        pass


def image_number(photo: Photo) -> int:
    """Return the number in a photograph's file name; raises `SubmissionError` unless there is exactly one."""
    numbers = re.findall(r"\d+", PurePath(photo.name).stem)
    if len(numbers) != 1:
        raise SubmissionError(
            f"{photo.shown}: its name holds {'no number' if not numbers else 'several numbers'}, and image_id is the "
            "number in the name, such as 12 of 12.png. Name the photographs of test_images only."
        )
    return int(numbers[0])


def category_number(k_code: str) -> int:
    """Return the course's category of a drug, `dl_idx`: the K-code's number minus one; raises `SubmissionError`."""
    match = re.fullmatch(r"K-(\d+)", k_code)
    if not match or not int(match[1]):
        raise SubmissionError(
            f"{k_code}: is no K-code, and category_id is the K-code's number minus one. Use a model of AIHub's "
            "data, in which drugs are enrolled by their K-codes."
        )
    return int(match[1]) - 1


def check_numbers(photos: Iterable[Photo], classes: Iterable[DrugClass]) -> None:
    """Check that photographs, and drugs that a model names, have a number of their own; raises `SubmissionError`."""
    for drug in classes:
        category_number(drug.k_code)
    first: dict[int, Photo] = {}
    for photo in photos:
        number = image_number(photo)
        if (other := first.setdefault(number, photo)) is not photo:
            raise SubmissionError(
                f"{other.shown} and {photo.shown}: have one image_id, {number}. Answer them separately."
            )
