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
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.nms import Detections
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress

CHUNK = 64
"""Photographs that are read ahead; they wait as JPEG."""

Result = TypeVar("Result")


def for_each_photo(
    measure: Callable[[np.ndarray, pd.DataFrame], Result],
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    *,
    threads: int,
    title: str,
) -> list[Result]:
    """Measure all photographs, several at a time, and return the results in the order of the photographs.

    Args:
        measure: takes the pixels, uint8 (H, W, 3), and the manifest rows of a photograph; called by several threads.
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
            results += pool.map(lambda photo: measure(decode_photo(photo[0]), photo[1]), chunk)
    return results


def measure_photo(steps: SeparateSteps, picture: np.ndarray, rows: pd.DataFrame) -> PhotoResult:
    """Run detector and classifier on a photograph, uint8 (H, W, 3), and on the labelled boxes of its manifest rows."""
    return measure_labelled(
        steps,
        picture,
        image_id=rows["image_id"].iloc[0],
        mode=rows["domain"].iloc[0],
        fully_labelled=bool(rows["fully_labelled"].iloc[0]),
        boxes=rows[["x", "y", "w", "h"]].to_numpy(float),
        targets=rows["class_index"].to_numpy(),
    )


def measure_labelled(
    steps: SeparateSteps,
    picture: np.ndarray,
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
        picture: uint8 (H, W, 3).
        image_id, fully_labelled, boxes, targets: of `PhotoResult`. Where no target has a class, the logits of the
            labelled boxes, which nothing reads then, are zeros.
        mode: of the answer.
    """
    detections = steps.detect(picture)
    kept = steps.choose(detections, mode)
    logits, distances = steps.classify(steps.cut(picture, kept.boxes))
    label_logits = np.zeros((len(boxes), len(steps.classes)), np.float32)
    if (targets >= 0).any():
        label_logits, _ = steps.classify(steps.cut(picture, boxes))
    return PhotoResult(
        image_id=image_id,
        domain=mode,
        fully_labelled=fully_labelled,
        width=picture.shape[1],
        height=picture.shape[0],
        boxes=boxes,
        targets=targets,
        found_boxes=detections.boxes,
        found_scores=detections.scores,
        answered=len(kept.boxes),
        label_logits=label_logits,
        answer_logits=logits,
        answer_distances=distances,
    )


def measure_background(steps: SeparateSteps, picture: np.ndarray, rows: pd.DataFrame) -> DetectorResult:
    """Run the detector on a photograph without a pill, uint8 (H, W, 3); its one row is of `MANIFEST_BACKGROUNDS`."""
    detections = steps.detect(picture)
    return DetectorResult(
        image_id=rows["image_id"].iloc[0],
        fully_labelled=True,
        width=picture.shape[1],
        height=picture.shape[0],
        boxes=np.zeros((0, 4)),
        found_boxes=detections.boxes,
        found_scores=detections.scores,
    )


def answer_of(result: PhotoResult, steps: SeparateSteps, picture: np.ndarray) -> Answer:
    """The answer of the separate steps, from what they gave already."""
    kept = Detections(result.found_boxes[: result.answered], result.found_scores[: result.answered])
    return steps.answer(picture, result.domain, kept, result.answer_logits, result.answer_distances)
