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
    boxes = rows[["x", "y", "w", "h"]].to_numpy(float)
    domain: Mode = rows["domain"].iloc[0]
    detections = steps.detect(picture)
    kept = steps.choose(detections, domain)
    logits, distances = steps.classify(steps.cut(picture, kept.boxes))
    return PhotoResult(
        image_id=rows["image_id"].iloc[0],
        domain=domain,
        fully_labelled=bool(rows["fully_labelled"].iloc[0]),
        width=picture.shape[1],
        height=picture.shape[0],
        boxes=boxes,
        targets=rows["class_index"].to_numpy(),
        found_boxes=detections.boxes,
        found_scores=detections.scores,
        answered=len(kept.boxes),
        label_logits=steps.classify(steps.cut(picture, boxes))[0],
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
