"""Overlap and matching of boxes x, y, w, h in numpy, since index and manifest run without torchvision."""

from collections.abc import Sequence

import numpy as np


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the intersection over union (IoU) of two boxes x, y, w, h."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = first, second
    width, height = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    overlap = max(0.0, width) * max(0.0, height)
    return overlap / max(aw * ah + bw * bh - overlap, 1e-9)


def iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of each pair of boxes x, y, w, h: float (N, M) for (N, 4) and (M, 4)."""
    first, second = np.asarray(first, float).reshape(-1, 4), np.asarray(second, float).reshape(-1, 4)
    return iou_rows(first[:, None], second[None])


def iou_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes x, y, w, h and those in the same place: float (...) for (..., 4), which are broadcast."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    areas = first[..., 2:].prod(axis=-1) + second[..., 2:].prod(axis=-1) - overlap
    return overlap / np.maximum(areas, 1e-9)


def match_boxes(found: np.ndarray, labelled: np.ndarray, *, min_iou: float) -> list[tuple[int, int]]:
    """Match detected boxes to labelled ones, greedily by IoU, each box once.

    Args:
        found: (N, 4) boxes x, y, w, h.
        labelled: (M, 4) boxes x, y, w, h.
        min_iou: pairs below it do not match.

    Returns:
        (index in found, index in labelled), sorted by the second.
    """
    overlaps = iou_matrix(found, labelled)
    pairs = []
    while overlaps.size and overlaps.max() >= min_iou:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        pairs.append((int(row), int(column)))
        overlaps[row, :] = -1
        overlaps[:, column] = -1
    return sorted(pairs, key=lambda pair: pair[1])
