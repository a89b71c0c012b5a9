"""Run a trained detector over photographs, with ultralytics' own prediction."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.detector.weights import load_weights, set_threads_on
from pillsnap.hardware import usable_threads
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.pictures.in_order import in_order

DETECTION_BATCH = 16

Detect = Callable[[list[np.ndarray]], list[np.ndarray]]
"""RGB photographs, uint8 (H, W, 3), to the detections in each: (N, 5), x, y, w, h in its pixels, score."""


def build_detect(
    weights: Path, *, work: Path, image_size: int, lowest_score: float, nms_iou: float, device: str, threads: int
) -> Detect:
    """Load a detector, and return the function that runs it.

    Args:
        weights: safetensors of `train_detector`, or `.pt` of ultralytics; whatever its classes, each is a pill.
        work: folder for ultralytics' own files; `prepare_ultralytics` was called with it.
        image_size: side of the detector's input in pixels.
        lowest_score: detections below it are left out.
        nms_iou: IoU above which the box of lower score is dropped, whatever its class.
        device: `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.

    Raises:
        WeightsError: `weights` holds no detector's weights.
    """
    from ultralytics.models.yolo.detect import DetectionPredictor

    predictor = DetectionPredictor(
        overrides={
            "mode": "predict",
            "imgsz": image_size,
            "conf": lowest_score,
            "iou": nms_iou,
            "agnostic_nms": True,
            "device": "0" if device == "cuda" else device,
            "rect": False,
            "batch": 1,
            "save": False,
            "verbose": False,
            "project": str(work.absolute()),
        }
    )
    set_threads_on(predictor, "on_predict_start", threads)
    predictor.setup_model(load_weights(weights), verbose=False)

    def detect(pictures: list[np.ndarray]) -> list[np.ndarray]:
        bgr = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
        return [_boxes(result.boxes.data.cpu().numpy()) for result in predictor(bgr)]

    return detect


def _boxes(rows: np.ndarray) -> np.ndarray:
    """x, y, w, h, score from ultralytics' corners, score, class; boxes that the edge clips to nothing are dropped."""
    boxes = np.concatenate([rows[:, :2], rows[:, 2:4] - rows[:, :2], rows[:, 4:5]], axis=1)
    return boxes[(boxes[:, 2:4] > 0).all(axis=1)]


def photos_and_boxes(
    pills: pd.DataFrame, prepared: Sequence[Path], detect: Detect, *, threads: int
) -> Iterator[tuple[np.ndarray, pd.DataFrame, np.ndarray]]:
    """Yield each stored photograph with its rows, manifest rows or backgrounds, and its detections.

    While the detector computes a batch, `threads` threads decode the next one.
    """
    for batch in _batches(pills, prepared, threads):
        pictures, rows = zip(*batch, strict=True)
        yield from zip(pictures, rows, detect(list(pictures)), strict=True)


def _batches(
    pills: pd.DataFrame, prepared: Sequence[Path], threads: int
) -> Iterator[list[tuple[np.ndarray, pd.DataFrame]]]:
    """The stored photographs, decoded, with their manifest rows, batch by batch; a batch is of one archive."""
    for archive in prepared:
        photos = stored_photos(pills[pills["archive"] == archive.name], [archive])
        decoded = in_order(_decode, photos, threads=usable_threads(threads), ahead=DETECTION_BATCH)
        while batch := list(islice(decoded, DETECTION_BATCH)):
            yield batch


def _decode(photo: tuple[bytes, pd.DataFrame]) -> tuple[np.ndarray, pd.DataFrame]:
    data, rows = photo
    return decode_jpeg(data), rows
