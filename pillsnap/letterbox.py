"""Fit a photograph into the detector's square, the same in every answer."""

import numpy as np
from PIL import Image

LETTERBOX_GREY = 114
"""Value of the letterbox's bars, the one ultralytics trains with."""


def letterbox(picture: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Fit a photograph into a grey square.

    A large photograph is thinned first, to every second pixel or so in both directions, so that at least four of them
    are still averaged for one of the square: the answer takes as long for a photograph of 12 megapixels as for a
    small one.

    Args:
        picture: uint8 (H, W, 3).
        size: side of the square in pixels.

    Returns:
        uint8 (size, size, 3), the scale that was applied, and the left and top bar in pixels.
    """
    height, width = picture.shape[:2]
    step = max(1, max(height, width) // (2 * size))
    top, left = (min((step - 1) // 2, side - 1) for side in (height, width))
    thin = np.ascontiguousarray(picture[top::step, left::step])
    scale = size / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(thin).resize((new_width, new_height), Image.Resampling.BILINEAR)
    left, top = (size - new_width) // 2, (size - new_height) // 2
    square = np.full((size, size, 3), LETTERBOX_GREY, np.uint8)
    square[top : top + new_height, left : left + new_width] = small
    return square, scale, left, top
