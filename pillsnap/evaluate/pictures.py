"""Pictures of the photographs on which most goes wrong, with the boxes that are found, missed and false."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pillsnap.answers.outcome_captions import outcome_captions
from pillsnap.evaluate.measured import Measured, worst
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.pictures.draw import draw_boxes
from pillsnap.pictures.scale import shrink

SHOWN = 12
"""Photographs shown at most."""
_SIDE, _QUALITY = 640, 85
"""Longer side in pixels, and quality of the JPEGs."""


@dataclass(frozen=True)
class Drawn:
    """A photograph with its boxes: a JPEG, and what it shows."""

    jpeg: bytes
    photo: Measured

    def facts(self) -> dict[str, str | int]:
        """Counts, JSON values."""
        one = self.photo
        return {
            "archive": one.archive,
            "photo": one.member,
            "pills": len(one.result.boxes),
            "found": len(one.matches),
            "missed": one.missed,
            "false": one.false,
        }


def draw_worst(measured: Sequence[Measured], picture: Callable[[Measured], np.ndarray]) -> list[Drawn]:
    """Draw the photographs with most missed pills and false boxes.

    Args:
        measured: to choose from.
        picture: decodes a photograph: uint8 (H, W, 3).
    """
    return [Drawn(_draw(picture(one), one), one) for one in worst(measured, SHOWN)]


def _draw(picture: np.ndarray, one: Measured) -> bytes:
    captions = outcome_captions(one.result, one.result.answered, one.matches)
    return encode_jpeg(shrink([draw_boxes(picture, captions)], _SIDE), _QUALITY)
