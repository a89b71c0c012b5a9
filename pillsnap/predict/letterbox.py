"""Letterbox: fit a photograph into the detector's square input."""

import cv2
import numpy as np

LETTERBOX_GREY = 114
"""Value of the bars, as in ultralytics' training."""


def letterbox(picture: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Fit a photograph into a grey square, keeping its aspect ratio.

    Each output pixel is the mean of 2 x 2 sampled pixels: as many as the bilinear resize of ultralytics reads, and fast
    for a photograph of any size.

    Args:
        picture: uint8 (H, W, 3).
        size: side of the square in pixels.

    Returns:
        uint8 (size, size, 3), the applied scale, and the width of the left and the height of the top bar in pixels.
    """
    sides = picture.shape[:2]
    scale = size / max(sides)
    height, width = (max(1, round(side * scale)) for side in sides)
    rows, columns = (
        ((2 * np.arange(2 * fitted) + 1) * side // (4 * fitted))
        for side, fitted in zip(sides, (height, width), strict=True)
    )
    points = picture.take(rows, axis=0).take(columns, axis=1)
    left, top = (size - width) // 2, (size - height) // 2
    square = np.full((size, size, 3), LETTERBOX_GREY, np.uint8)
    small = cv2.resize(points, (width, height), interpolation=cv2.INTER_AREA)  # at half the size: the mean, halves up
    square[top : top + height, left : left + width] = small
    return square, scale, left, top
