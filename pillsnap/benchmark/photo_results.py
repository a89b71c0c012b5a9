"""Results of each photograph: detections, likeliest classes and logits, as far as metrics need them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from pillsnap.answers.accuracy import DetectorResult, PhotoResult, likeliest
from pillsnap.answers.answer import Answer, Mode
from pillsnap.hardware import usable_threads
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.in_order import in_order
from pillsnap.predict.nms import Detections
from pillsnap.predict.open_photo import AnyPhoto, fitting, open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress

AT_ONCE = 16
"""Photographs that a GPU computes at once; where its memory ends for them, fewer."""
FEEDING_A_GPU = 8
"""Threads that decode for a GPU, at most. One waits for it with the pixels of its batch, the others decode."""

Result = TypeVar("Result")
StoredPhoto = tuple[bytes, pd.DataFrame]
"""The stored JPEG of a photograph and its manifest rows; of backgrounds, which have none, those of
`MANIFEST_BACKGROUNDS`."""


@dataclass(frozen=True)
class Labels:
    """What is known of a photograph.

    Attributes:
        mode: of the answer.
        image_id, fully_labelled, boxes, targets: of `PhotoResult`.
    """

    mode: Mode
    image_id: str
    fully_labelled: bool
    boxes: np.ndarray
    targets: np.ndarray

    @classmethod
    def of_rows(cls, rows: pd.DataFrame) -> "Labels":
        """Those of a photograph's manifest rows."""
        return cls(
            mode=rows["domain"].iloc[0],
            image_id=rows["image_id"].iloc[0],
            fully_labelled=bool(rows["fully_labelled"].iloc[0]),
            boxes=rows[["x", "y", "w", "h"]].to_numpy(float),
            targets=rows["class_index"].to_numpy(),
        )


def for_each_photo(
    measure: Callable[[bytes, pd.DataFrame], Result],
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    *,
    threads: int,
    title: str,
) -> list[Result]:
    """Measure all photographs, several at a time, and return the results in the order of the photographs.

    Args:
        measure: takes the stored JPEG and the manifest rows of a photograph; called by several threads.
        pills: manifest rows, or those of `MANIFEST_BACKGROUNDS`.
        prepared: folders of `prepare_archive`.
        threads: photographs at a time, at most the available cores. Models loaded with one thread each give the same
            bits as one photograph after the other, in less time.
        title: of the progress.
    """

    def measure_each(photos: Sequence[StoredPhoto]) -> list[Result]:
        return [measure(*photo) for photo in photos]

    return for_each_batch(measure_each, pills, prepared, size=1, threads=threads, title=title)


def for_each_batch(
    measure: Callable[[Sequence[StoredPhoto]], Sequence[Result]],
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    *,
    size: int,
    threads: int,
    title: str,
) -> list[Result]:
    """As `for_each_photo`, where `measure` takes `size` photographs at once, the last time fewer.

    Each thread works on a batch of its own: while the networks compute one, others are decoded.
    """
    photos = progress(stored_photos(pills, prepared), total=pills["image_id"].nunique(), title=title)
    measured = in_order(measure, _batches(photos, size), threads=usable_threads(threads))
    return list(chain.from_iterable(measured))


def _batches(photos: Iterator[StoredPhoto], size: int) -> Iterator[list[StoredPhoto]]:
    while batch := list(islice(photos, size)):
        yield batch


def measure_photo(steps: SeparateSteps, photo: AnyPhoto, rows: pd.DataFrame) -> PhotoResult:
    """Run detector and classifier on a photograph, and on the labelled boxes of its manifest rows."""
    return measure_labelled(steps, photo, Labels.of_rows(rows))


def measure_labelled(steps: SeparateSteps, photo: AnyPhoto, labels: Labels) -> PhotoResult:
    """As `measure_all`, for one photograph."""
    return measure_all(steps, [photo], [labels])[0]


def measure_all(steps: SeparateSteps, photos: Sequence[AnyPhoto], labels: Sequence[Labels]) -> list[PhotoResult]:
    """Run detector and classifier on photographs, and the classifier on their labelled boxes, each on all at once.

    Args:
        steps: the models.
        photos: as for `SeparateSteps.identify`.
        labels: of each. Where no target has a class, the likeliest classes of the labelled boxes, which nothing reads
            then, are zeros.
    """
    opened = [open_photo(photo, steps.detector_facts) for photo in photos]
    looked = steps.look_at_all(opened, [one.mode for one in labels])
    kept = [steps.choose(found, one.mode) for (_, found), one in zip(looked, labels, strict=True)]
    answer_crops = [steps.cut(photo.picture, each.boxes) for (photo, _), each in zip(looked, kept, strict=True)]
    answers = _classify_each(steps, answer_crops)
    label_crops = []
    for (photo, _), one in zip(looked, labels, strict=True):
        boxes = one.boxes if (one.targets >= 0).any() else one.boxes[:0]
        larger = fitting(photo, photo.in_picture(boxes), steps.classifier_facts)
        label_crops.append(steps.cut(larger.picture, larger.in_picture(boxes)))
    label_guesses = [likeliest(logits) for logits, _ in _classify_each(steps, label_crops)]
    return [
        PhotoResult(
            image_id=one.image_id,
            domain=one.mode,
            fully_labelled=one.fully_labelled,
            width=photo.width,
            height=photo.height,
            boxes=one.boxes,
            targets=one.targets,
            found_boxes=photo.in_photo(found.boxes),
            found_scores=found.scores,
            answered=len(logits),
            label_guesses=named if len(named) else np.zeros((len(one.boxes), named.shape[1]), np.int32),
            answer_logits=logits,
            answer_distances=distances,
        )
        for (photo, found), one, (logits, distances), named in zip(looked, labels, answers, label_guesses, strict=True)
    ]


def _classify_each(steps: SeparateSteps, crops: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Logits and distances of the crops of each photograph; the classifier sees those of all photographs at once."""
    ends = np.cumsum([len(each) for each in crops])[:-1]
    logits, distances = steps.classify(np.concatenate(crops))
    return list(zip(np.split(logits, ends), np.split(distances, ends), strict=True))


def measure_backgrounds(steps: SeparateSteps, photos: Sequence[StoredPhoto]) -> list[DetectorResult]:
    """Run the detector on photographs without a pill; the one row of each is of `MANIFEST_BACKGROUNDS`."""
    opened = [open_photo(data, steps.detector_facts) for data, _ in photos]
    looked = steps.look_at_all(opened, ["combo"] * len(photos))
    return [
        DetectorResult(
            image_id=rows["image_id"].iloc[0],
            fully_labelled=True,
            width=photo.width,
            height=photo.height,
            boxes=np.zeros((0, 4)),
            found_boxes=photo.in_photo(found.boxes),
            found_scores=found.scores,
        )
        for (photo, found), (_, rows) in zip(looked, photos, strict=True)
    ]


def answer_of(result: PhotoResult, steps: SeparateSteps) -> Answer:
    """The answer of the separate steps, from what they gave already."""
    kept = Detections(result.found_boxes[: result.answered], result.found_scores[: result.answered])
    size = result.width, result.height
    return steps.answer(size, result.domain, kept, result.answer_logits, result.answer_distances)
