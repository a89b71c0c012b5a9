"""Results of each photograph: detections, answer and logits, as far as metrics need them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from pillsnap.answers.accuracy import DetectorResult, PhotoResult
from pillsnap.answers.answer import Answer, Mode
from pillsnap.hardware import usable_threads
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.predict.nms import Detections
from pillsnap.predict.open_photo import AnyPhoto, fitting, open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress

CHUNK = 64
"""Photographs that are read ahead; they wait as JPEG."""

Result = TypeVar("Result")


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
        pills: manifest rows; of backgrounds, which have none, those of `MANIFEST_BACKGROUNDS`.
        prepared: folders of `prepare_archive`.
        threads: photographs at a time, at most the available cores. Models loaded with one thread each give the same
            bits as one photograph after the other, in less time.
        title: of the progress.
    """
    photos = progress(stored_photos(pills, prepared), total=pills["image_id"].nunique(), title=title)
    results: list[Result] = []
    with ThreadPoolExecutor(usable_threads(threads)) as pool:
        while chunk := list(islice(photos, CHUNK)):
            results += pool.map(lambda photo: measure(*photo), chunk)
    return results


def measure_photo(steps: SeparateSteps, photo: AnyPhoto, rows: pd.DataFrame) -> PhotoResult:
    """Run detector and classifier on a photograph, and on the labelled boxes of its manifest rows."""
    return measure_labelled(
        steps,
        photo,
        image_id=rows["image_id"].iloc[0],
        mode=rows["domain"].iloc[0],
        fully_labelled=bool(rows["fully_labelled"].iloc[0]),
        boxes=rows[["x", "y", "w", "h"]].to_numpy(float),
        targets=rows["class_index"].to_numpy(),
    )


def measure_labelled(
    steps: SeparateSteps,
    photo: AnyPhoto,
    *,
    image_id: str,
    mode: Mode,
    fully_labelled: bool,
    boxes: np.ndarray,
    targets: np.ndarray,
) -> PhotoResult:
    """Run detector and classifier on a photograph, and the classifier on its labelled boxes.

    Args:
        steps: the models.
        photo: as for `SeparateSteps.identify`.
        image_id, fully_labelled, boxes, targets: of `PhotoResult`. Where no target has a class, the logits of the
            labelled boxes, which nothing reads then, are zeros.
        mode: of the answer.
    """
    photo, detections = steps.look(open_photo(photo, steps.detector_facts), mode)
    kept = steps.choose(detections, mode)
    logits, distances = steps.classify(steps.cut(photo.picture, kept.boxes))
    label_logits = np.zeros((len(boxes), len(steps.classes)), np.float32)
    if (targets >= 0).any():
        larger = fitting(photo, photo.in_picture(boxes), steps.classifier_facts)
        label_logits, _ = steps.classify(steps.cut(larger.picture, larger.in_picture(boxes)))
    return PhotoResult(
        image_id=image_id,
        domain=mode,
        fully_labelled=fully_labelled,
        width=photo.width,
        height=photo.height,
        boxes=boxes,
        targets=targets,
        found_boxes=photo.in_photo(detections.boxes),
        found_scores=detections.scores,
        answered=len(kept.boxes),
        label_logits=label_logits,
        answer_logits=logits,
        answer_distances=distances,
    )


def measure_background(steps: SeparateSteps, photo: AnyPhoto, rows: pd.DataFrame) -> DetectorResult:
    """Run the detector on a photograph without a pill; its one row is of `MANIFEST_BACKGROUNDS`."""
    photo, detections = steps.look(open_photo(photo, steps.detector_facts), "combo")
    return DetectorResult(
        image_id=rows["image_id"].iloc[0],
        fully_labelled=True,
        width=photo.width,
        height=photo.height,
        boxes=np.zeros((0, 4)),
        found_boxes=photo.in_photo(detections.boxes),
        found_scores=detections.scores,
    )


def answer_of(result: PhotoResult, steps: SeparateSteps) -> Answer:
    """The answer of the separate steps, from what they gave already."""
    kept = Detections(result.found_boxes[: result.answered], result.found_scores[: result.answered])
    size = result.width, result.height
    return steps.answer(size, result.domain, kept, result.answer_logits, result.answer_distances)
