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
DECODERS = 4
"""Threads that decode batches while the detector computes, at most the usable cores: a GPU would wait for one."""

Detect = Callable[[list[np.ndarray]], list[np.ndarray]]
"""RGB photographs, uint8 (H, W, 3), to the detections in each: (N, 5), x, y, w, h in its pixels, score."""


def build_detect(
    weights: Path, *, work: Path, image_size: int, lowest_score: float, device: str, threads: int
) -> Detect:
    """Load a detector, and return the function that runs it.

    Args:
        weights: safetensors of `train_detector`, or `.pt` of ultralytics; whatever its classes, each is a pill.
        work: folder for ultralytics' own files; `prepare_ultralytics` was called with it.
        image_size: side of the detector's input in pixels.
        lowest_score: detections below it are left out.
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
    pills: pd.DataFrame, prepared: Sequence[Path], detect: Detect
) -> Iterator[tuple[np.ndarray, pd.DataFrame, np.ndarray]]:
    """Yield each stored photograph with its rows, manifest rows or backgrounds, and its detections."""
    batches = in_order(_decode, _batches(pills, prepared), threads=usable_threads(DECODERS), ahead=DECODERS)
    for pictures, each_rows in batches:
        yield from zip(pictures, each_rows, detect(pictures), strict=True)


def _decode(batch: list[tuple[bytes, pd.DataFrame]]) -> tuple[list[np.ndarray], list[pd.DataFrame]]:
    return [decode_jpeg(data) for data, _ in batch], [rows for _, rows in batch]


def _batches(pills: pd.DataFrame, prepared: Sequence[Path]) -> Iterator[list[tuple[bytes, pd.DataFrame]]]:
    """The stored photographs with their manifest rows, batch by batch; a batch is of one archive."""
    for archive in prepared:
        photos = stored_photos(pills[pills["archive"] == archive.name], [archive])
        while batch := list(islice(photos, DETECTION_BATCH)):
            yield batch
