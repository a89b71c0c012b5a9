"""Outlines of boxes that are seen on any background, also of boxes that leave the photograph."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

GOOD, BAD = (255, 221, 51), (255, 66, 54)
_DARK, _BEYOND = (20, 20, 20), (128, 128, 128)
_MOST_BEYOND = 0.5
"""Limit up to which a photograph is extended to show a box outside of it, as a share of its longer side."""


def outline(picture: np.ndarray, boxes: Iterable[Sequence[float]], colour: tuple[int, int, int] = GOOD) -> np.ndarray:
    """A copy of uint8 (H, W, 3) RGB with boxes x, y, w, h (its pixels) outlined, each line with a dark edge."""
    drawn = np.ascontiguousarray(picture).copy()
    thick = max(1, round(max(picture.shape[:2]) / 200))
    for box in boxes:
        x, y, w, h = box
        corners = (round(x), round(y)), (round(x + w), round(y + h))
        cv2.rectangle(drawn, *corners, _DARK, thick + 2)
        cv2.rectangle(drawn, *corners, colour, thick)
    return drawn


def outline_beyond(picture: np.ndarray, box: Sequence[float]) -> tuple[np.ndarray, bool]:
    """Outline one wrong box of a photograph, which is extended in grey as far as the box leaves it.

    Returns:
        the drawing, and whether the box is on it: one that lies further away than half the longer side is not.
    """
    height, width = picture.shape[:2]
    x, y, w, h = box
    most = _MOST_BEYOND * max(height, width)
    if x > width + most or y > height + most or x + w < -most or y + h < -most:
        return picture, False
    left, top, right, bottom = (
        round(min(max(0.0, beyond), most)) for beyond in (-x, -y, x + w - width, y + h - height)
    )
    wide = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_BEYOND)
    # far corners would overflow the drawing's whole numbers
    x0, y0 = max(x + left, -9), max(y + top, -9)
    x1, y1 = min(x + w + left, wide.shape[1] + 9), min(y + h + top, wide.shape[0] + 9)
    return outline(wide, [(x0, y0, x1 - x0, y1 - y0)], BAD), True
