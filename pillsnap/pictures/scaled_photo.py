"""A photograph that is decoded as large as it is needed, and larger where that turns out to be too small."""

from dataclasses import dataclass

import numpy as np

from pillsnap.pictures.decode import MAX_PIXELS, decode_reduced


@dataclass(frozen=True)
class ScaledPhoto:
    """A photograph, whole or reduced.

    Attributes:
        picture: uint8 (H, W, 3) RGB, upright.
        width, height: of the whole photograph, upright, in pixels.
        data: the file's bytes, from which it is decoded larger; none where only pixels were given, which are whole.
    """

    picture: np.ndarray
    width: int
    height: int
    data: bytes = b""

    @classmethod
    def of_pixels(cls, picture: np.ndarray) -> "ScaledPhoto":
        """The photograph of which these, uint8 (H, W, 3), are all pixels."""
        return cls(picture, picture.shape[1], picture.shape[0])

    @classmethod
    def decode(cls, data: bytes, *, least_side: int, max_pixels: int = MAX_PIXELS) -> "ScaledPhoto":
        """Decode a file's bytes; arguments and errors are those of `decode_reduced`."""
        picture, (width, height) = decode_reduced(data, least_side=least_side, max_pixels=max_pixels)
        return cls(picture, width, height, data)

    @property
    def is_whole(self) -> bool:
        """Whether the picture has all pixels."""
        return self.picture.shape[:2] == (self.height, self.width)

    def whole(self) -> np.ndarray:
        """All pixels: uint8 (H, W, 3)."""
        return self.at_least(max(self.width, self.height)).picture

    def at_least(self, least_side: int) -> "ScaledPhoto":
        """The photograph with a longer side of at least so many pixels, or whole; itself where it is that already."""
        if self.is_whole or max(self.picture.shape) >= least_side:
            return self
        return ScaledPhoto.decode(self.data, least_side=least_side)

    def in_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes x, y, w, h (N, 4) in pixels of the whole photograph, as pixels of `picture`."""
        return boxes if self.is_whole else boxes * self._scale().astype(boxes.dtype)

    def in_photo(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes x, y, w, h (N, 4) in pixels of `picture`, as pixels of the whole photograph."""
        return boxes if self.is_whole else boxes / self._scale().astype(boxes.dtype)

    def _scale(self) -> np.ndarray:
        height, width = self.picture.shape[:2]
        return np.array([width / self.width, height / self.height] * 2)
