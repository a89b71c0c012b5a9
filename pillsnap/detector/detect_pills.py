"""Run the detector once over every photograph but the test part's; crops and label audit read its detections."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.detector.weights import load_detector, prepare_ultralytics, set_threads_on
from pillsnap.hardware import torch_device
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.progress import progress
from pillsnap.tables.files import make_table, read_split, write_table
from pillsnap.tables.schemas import DETECTIONS

log = logging.getLogger(__name__)

DETECTION_BATCH = 16

Detect = Callable[[list[np.ndarray]], list[np.ndarray]]
"""RGB photographs, uint8 (H, W, 3), to the detections in each: (N, 5), x, y, w, h in its pixels, score."""


def detect_pills(
    *,
    manifest: dict[str, Path],
    prepared: Sequence[Path],
    detector: Path,
    detections: Path,
    work: Path,
    image_size: int,
    lowest_score: float,
    device: str,
    threads: int,
) -> None:
    """Run the detector over the photographs of training and validation, and of the unseen drugs' first half.

    Args:
        manifest: CSV by split (`train`, `val`, `unseen_val`), schema `MANIFEST`; its rows of that split are used.
        prepared: folders of `prepare_archive`.
        detector: safetensors of `train_detector`.
        detections: written, schema `DETECTIONS`: by split, photograph and falling score.
        work: folder for ultralytics' own settings.
        image_size: side of the detector's input in pixels.
        lowest_score: detections below it are left out.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is requested and does not work.
        WeightsError: `detector` holds no detector's weights.
    """
    prepare_ultralytics(work)
    detect = open_detector(detector, work, image_size, lowest_score, torch_device(device), threads)
    tables = [_detections_of(read_split(path, split), prepared, detect, split) for split, path in manifest.items()]
    table = pd.concat(tables, ignore_index=True)[list(DETECTIONS.columns)]
    write_table(table, detections, DETECTIONS)
    log.info("%d detections in %d photos", len(table), table["image_id"].nunique())


def open_detector(weights: Path, work: Path, image_size: int, lowest_score: float, device: str, threads: int) -> Detect:
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
    predictor.setup_model(load_detector(weights), verbose=False)

    def detect(pictures: list[np.ndarray]) -> list[np.ndarray]:
        bgr = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
        return [_boxes(result.boxes.data.cpu().numpy()) for result in predictor(bgr)]

    return detect


def _boxes(rows: np.ndarray) -> np.ndarray:
    """x, y, w, h, score from ultralytics' corners, score, class; boxes that the edge clips to nothing are dropped."""
    boxes = np.concatenate([rows[:, :2], rows[:, 2:4] - rows[:, :2], rows[:, 4:5]], axis=1)
    return boxes[(boxes[:, 2:4] > 0).all(axis=1)]


def _detections_of(pills: pd.DataFrame, prepared: Sequence[Path], detect: Detect, split: str) -> pd.DataFrame:
    """Rows of schema `DETECTIONS` of one side of the split, by photograph and falling score."""
    tables = [make_table([], DETECTIONS)]
    photos = _photos_and_boxes(pills, prepared, detect)
    for picture, rows, boxes in progress(photos, total=pills["image_id"].nunique(), title=split):
        tables.append(_rows(rows.iloc[0], boxes, picture))
    table = pd.concat(tables, ignore_index=True).assign(split=split)
    return table.sort_values(["image_id", "score", *"xywh"], ascending=[True, False, *[True] * 4])


def _photos_and_boxes(
    pills: pd.DataFrame, prepared: Sequence[Path], detect: Detect
) -> Iterator[tuple[np.ndarray, pd.DataFrame, np.ndarray]]:
    """Each photograph with its manifest rows and its detections."""
    for batch in _batches(pills, prepared):
        pictures = [decode_jpeg(data) for data, _ in batch]
        for picture, (_, rows), boxes in zip(pictures, batch, detect(pictures), strict=True):
            yield picture, rows, boxes


def _batches(pills: pd.DataFrame, prepared: Sequence[Path]) -> Iterator[list[tuple[bytes, pd.DataFrame]]]:
    """The stored photographs with their manifest rows, batch by batch; a batch is of one archive."""
    for archive in prepared:
        photos = stored_photos(pills[pills["archive"] == archive.name], [archive])
        while batch := list(islice(photos, DETECTION_BATCH)):
            yield batch


def _rows(photo: pd.Series, boxes: np.ndarray, picture: np.ndarray) -> pd.DataFrame:
    """Boxes in pixels of `picture` as rows in pixels of the raw photograph."""
    scale = photo["width"] / picture.shape[1], photo["height"] / picture.shape[0]
    scaled = boxes[:, :4] * np.array(scale * 2)
    return pd.DataFrame(
        {"image_id": photo["image_id"], "score": boxes[:, 4], **dict(zip("xywh", scaled.T, strict=True))}
    )
