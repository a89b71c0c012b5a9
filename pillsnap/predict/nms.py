"""Non-maximum suppression: from the detector's output to boxes in the photograph."""

from dataclasses import dataclass

import cv2
import numpy as np

MIN_SCORE = 0.001
MAX_BOXES = 100


@dataclass(frozen=True)
class Detections:
    """Boxes x, y, w, h in pixels of the photograph, float32 (N, 4), and scores, float32 (N,), best first."""

    boxes: np.ndarray
    scores: np.ndarray


def non_max_suppression(
    output: np.ndarray, picture: np.ndarray, scale: float, left: int, top: int, *, nms_iou: float
) -> Detections:
    """Suppress overlapping boxes; keep at most 100 of score 0.001 or more, clipped to the photograph.

    Args:
        output: float (anchors, 5): centre x, centre y, w, h in pixels of the letterbox, score.
        picture: the photograph, uint8 (H, W, 3).
        scale, left, top: of its letterbox, see `letterbox`.
        nms_iou: IoU above which the box of lower score is dropped.
    """
    rows = output[output[:, 4] >= MIN_SCORE]
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2 - [left, top], rows[:, 2:4]], axis=1) / scale
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), rows[:, 4].tolist(), MIN_SCORE, nms_iou)
    keep = np.asarray(kept, dtype=int).reshape(-1)[:MAX_BOXES]
    return Detections(_clip(boxes[keep], picture).astype(np.float32), rows[keep, 4].astype(np.float32))


def _clip(boxes: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Boxes clipped to the photograph."""
    height, width = picture.shape[:2]
    low = np.clip(boxes[:, :2], 0, [width - 1, height - 1])
    high = np.clip(boxes[:, :2] + boxes[:, 2:], low + 1, [width, height])
    return np.concatenate([low, high - low], axis=1)
