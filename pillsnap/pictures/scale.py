"""Smaller pictures, and the perceptual hash."""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy import fft

_HASHED_SIDE, _FREQUENCIES = 64, 16


def pyramid(picture: np.ndarray) -> list[np.ndarray]:
    """The picture, its half, its quarter and so on: means of 2 x 2 pixels, as far as sides are even and hashes need.

    Halving is the one exact reduction that is quick; any smaller size is then made from the level just above it.
    """
    levels = [picture]
    while min(levels[-1].shape[:2]) >= 2 * _HASHED_SIDE and not any(side % 2 for side in levels[-1].shape[:2]):
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels


def shrink(levels: Sequence[np.ndarray], long_side: int) -> np.ndarray:
    """Shrink a picture, given as its `pyramid`, so that its longer side is `long_side` pixels; never enlarge."""
    height, width = levels[0].shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return levels[0]
    return _resized(levels, (max(1, round(width * scale)), max(1, round(height * scale))))


def perceptual_hash(levels: Sequence[np.ndarray]) -> str:
    """Hash of which similar pictures share most bits: 64 hexadecimal digits, 256 bits; takes a picture's `pyramid`.

    Which of the lowest 16 x 16 frequencies of the whole picture, in 64 x 64 grey pixels, are above their median: the
    bits of ImageHash's `phash`, in half of its time.
    """
    smallest = cv2.cvtColor(levels[-1], cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(smallest, (_HASHED_SIDE, _HASHED_SIDE), interpolation=cv2.INTER_AREA).astype(float)
    # a product with the cosine matrix leaves rounding where flat and mirrored pictures have exact zeros: other bits
    low = fft.dct(fft.dct(grey, axis=0)[:_FREQUENCIES], axis=1)[:, :_FREQUENCIES]
    return np.packbits(low > np.median(low)).tobytes().hex()


def _resized(levels: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    width, height = size
    large = [level for level in levels if level.shape[0] >= height and level.shape[1] >= width]
    level = large[-1] if large else levels[0]
    if level.shape[1::-1] == size:
        return level
    near = level.shape[0] < 2 * height and level.shape[1] < 2 * width
    return cv2.resize(level, size, interpolation=cv2.INTER_LINEAR if near else cv2.INTER_AREA)
