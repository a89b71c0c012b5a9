"""Run the detector once over every photograph but the test part's; crops and label audit read its detections."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pillsnap.detector.inference import Detect, build_detect, photos_and_boxes
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.hardware import torch_device
from pillsnap.progress import progress
from pillsnap.tables.files import make_table, read_split, read_table, write_table
from pillsnap.tables.schemas import DETECTIONS, MANIFEST_BACKGROUNDS

log = logging.getLogger(__name__)


def detect_pills(
    *,
    manifest: dict[str, Path],
    backgrounds: Path,
    prepared: Sequence[Path],
    detector: Path,
    detections: Path,
    work: Path,
    image_size: int,
    lowest_score: float,
    nms_iou: float,
    device: str,
    threads: int,
) -> None:
    """Run the detector over the photographs of training and validation, and of the unseen drugs' first half.

    Photographs without a pill are among them: on them, only the label audit reads what is detected.

    Args:
        manifest: CSV by split (`train`, `val`, `unseen_val`), schema `MANIFEST`; its rows of that split are used.
        backgrounds: photographs without a pill, schema `MANIFEST_BACKGROUNDS`.
        prepared: folders of `prepare_archive`.
        detector: safetensors of `train_detector`.
        detections: written, schema `DETECTIONS`: by split, photograph and falling score.
        work: folder for ultralytics' own settings.
        image_size: side of the detector's input in pixels.
        lowest_score: detections below it are left out.
        nms_iou: of their non-maximum suppression, the answers' own.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is requested and does not work.
        WeightsError: `detector` holds no detector's weights.
    """
    prepare_ultralytics(work)
    detect = build_detect(
        detector,
        work=work,
        image_size=image_size,
        lowest_score=lowest_score,
        nms_iou=nms_iou,
        device=torch_device(device),
        threads=threads,
    )
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS)
    tables = []
    for split, path in manifest.items():
        photos = pd.concat([read_split(path, split), empty[empty["split"] == split]], ignore_index=True)
        tables.append(_detections_of(photos, prepared, detect, split, threads))
    table = pd.concat(tables, ignore_index=True)[list(DETECTIONS.columns)]
    write_table(table, detections, DETECTIONS)
    log.info("%d detections in %d photos", len(table), table["image_id"].nunique())


def _detections_of(
    rows: pd.DataFrame, prepared: Sequence[Path], detect: Detect, split: str, threads: int
) -> pd.DataFrame:
    """Rows of schema `DETECTIONS` of one side of the split, by photograph and falling score."""
    tables = [make_table([], DETECTIONS)]
    photos = photos_and_boxes(rows, prepared, detect, threads=threads)
    for picture, own, boxes in progress(photos, total=rows["image_id"].nunique(), title=split):
        tables.append(_rows(own.iloc[0], boxes, picture))
    table = pd.concat(tables, ignore_index=True).assign(split=split)
    return table.sort_values(["image_id", "score", *"xywh"], ascending=[True, False, *[True] * 4])


def _rows(photo: pd.Series, boxes: np.ndarray, picture: np.ndarray) -> pd.DataFrame:
    """Boxes in pixels of `picture` as rows in pixels of the raw photograph."""
    scale = photo["width"] / picture.shape[1], photo["height"] / picture.shape[0]
    scaled = boxes[:, :4] * np.array(scale * 2)
    return pd.DataFrame(
        {"image_id": photo["image_id"], "score": boxes[:, 4], **dict(zip("xywh", scaled.T, strict=True))}
    )
