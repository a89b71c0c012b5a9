"""How large a photograph is decoded for an answer: as large as detector and crops need, and no larger.

A phone's photograph of 12 megapixels has many times the pixels that the networks look at. Most of them are never
computed where the decoder reduces the picture: by 2, 4 or 8, which libjpeg does for JPEGs.
"""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.pictures.decode import MAX_PIXELS
from pillsnap.pictures.scaled_photo import ScaledPhoto

CROPS_ALONG = 12
"""How often the smallest crop that is expected lies along a photograph's longer side: at that size it is not enlarged.
Of the built-in test part's pills 99.3 % have crops of a 12th of that side or more, and the smallest has a 13th."""

AnyPhoto = str | Path | bytes | bytearray | memoryview | np.ndarray | ScaledPhoto
"""A path, a file's bytes, uint8 (H, W, 3) RGB, or what `open_photo` gave."""


def open_photo(photo: AnyPhoto, facts: Mapping[str, Any], *, max_pixels: int = MAX_PIXELS) -> ScaledPhoto:
    """Decode a photograph for the models with these facts.

    Its longer side stays as long as `CROPS_ALONG` crops and twice the detector's input, of whose pixels the letterbox
    makes each from 2 x 2. Pixels that are given are taken as they are.

    Raises:
        PictureError: it cannot be decoded, or has more than `max_pixels`.
        OSError: the path cannot be read.
    """
    if isinstance(photo, ScaledPhoto):
        return photo
    if isinstance(photo, np.ndarray):
        return ScaledPhoto.of_pixels(photo)
    data = Path(photo).read_bytes() if isinstance(photo, str | Path) else bytes(photo)
    least_side = max(CROPS_ALONG * facts["crop_size"], 2 * facts["image_size"])
    return ScaledPhoto.decode(data, least_side=least_side, max_pixels=max_pixels)


def fitting(photo: ScaledPhoto, boxes: np.ndarray, facts: Mapping[str, Any]) -> ScaledPhoto:
    """Return the photograph so large that no crop of these boxes is enlarged, or whole.

    Args:
        photo: is returned itself where it fits already.
        boxes: x, y, w, h (N, 4) in pixels of the photograph's picture.
        facts: `crop_size` and `crop_margin` of the models.
    """
    smallest = boxes[:, 2:].max(axis=1).min(initial=np.inf) * (1 + facts["crop_margin"])
    if photo.is_whole or smallest >= facts["crop_size"]:
        return photo
    return photo.at_least(ceil(max(photo.picture.shape) * facts["crop_size"] / smallest))
