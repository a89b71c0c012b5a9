"""Cut a pill out of a photograph: the one crop function of the project."""

import math
from collections.abc import Sequence

import cv2
import numpy as np


def cut_crop(picture: np.ndarray, box: np.ndarray | Sequence[float], *, size: int, margin: float) -> np.ndarray:
    """Cut one pill out: the square window around the box, with margin, resized to `size`.

    The window is centred on the box and its side is (1 + margin) times the box's longer side, rounded to
    whole pixels. Outside the photograph its edge pixels are repeated. Each pixel of the crop is the mean of the window
    at 2 x 2 points of it, bilinear: RoiAlign with `sampling_ratio` 2 (He et al. 2017). A window so large that those
    points would skip pixels is subsampled before. Training, evaluation and answers all see pills through this function.

    Args:
        picture: uint8 (H, W, 3).
        box: x, y, w, h in pixels of `picture`.
        size: side of the result in pixels.
        margin: margin as a share of the box's longer side.

    Returns:
        uint8 (size, size, 3).
    """
    left, top, side = crop_window(box, margin)
    stride = max(1, (side + 2 * size) // (4 * size))
    places = (stride - 1) // 2 + stride * np.arange(side // stride)
    window = _window(picture, left, top, side) if stride == 1 else _subsampled(picture, top + places, left + places)
    points = cv2.resize(window.astype(np.float32), (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR)
    return np.rint(cv2.resize(points, (size, size), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def crop_window(box: np.ndarray | Sequence[float], margin: float) -> tuple[int, int, int]:
    """Left, top and side of the square window of a crop, in whole pixels; it may reach beyond the photograph."""
    x, y, w, h = (float(value) for value in box)
    side = max(1, round(max(w, h) * (1 + margin)))
    # `round` takes halves to the even neighbour: the same pill in a photograph and in a part of it would differ
    return math.floor(x + (w - side) / 2 + 0.5), math.floor(y + (h - side) / 2 + 0.5), side


def _window(picture: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    rows, columns = picture.shape[:2]
    x0, y0 = min(max(left, 0), columns - 1), min(max(top, 0), rows - 1)
    x1, y1 = max(min(left + side, columns), x0 + 1), max(min(top + side, rows), y0 + 1)
    inside = picture[y0:y1, x0:x1]
    missing = (max(0, y0 - top), max(0, top + side - y1), max(0, x0 - left), max(0, left + side - x1))
    if not any(missing):
        return inside
    padded = cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE)
    return padded[:side, :side]


def _subsampled(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Pixels at these rows and columns; beyond the photograph those of its edge."""
    height, width = picture.shape[:2]
    return picture.take(np.clip(rows, 0, height - 1), axis=0).take(np.clip(columns, 0, width - 1), axis=1)


def context_window(
    box: np.ndarray | Sequence[float], width: int, height: int, *, context: float
) -> tuple[int, int, int, int]:
    """The box with `context` times its longer side kept on each side, cut at the photograph's edges.

    Returns:
        left, top, right, bottom in whole pixels of the photograph.
    """
    x, y, w, h = (float(value) for value in box)
    more = context * max(w, h)
    left, top = int(max(0, x - more)), int(max(0, y - more))
    right, bottom = int(min(width, np.ceil(x + w + more))), int(min(height, np.ceil(y + h + more)))
    return left, top, right, bottom
