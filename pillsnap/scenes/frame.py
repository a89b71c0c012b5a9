"""The frame of a photograph: a phone's format, and the camera's tilt."""

from dataclasses import dataclass

import cv2
import numpy as np

from pillsnap.scenes.texture import Shape

_FORMATS = {(4, 3): 0.26, (3, 4): 0.32, (16, 9): 0.1, (9, 16): 0.12, (1, 1): 0.12, (3, 2): 0.08}
"""Width to height, and the share of photographs."""
_BORDER = 0.12
"""Border of the canvas around the frame, as a share of the frame's longer side."""
_BORDERED = 0.06
"""Share of photographs with a border, as copies have that were turned or padded."""


@dataclass(frozen=True)
class Frame:
    """What the camera sees of a canvas that is drawn from straight above.

    Attributes:
        width, height: of the photograph in pixels.
        canvas: shape of the canvas.
        inside: bool, of the canvas' shape: pixels that are in the photograph.
        perspective: float (3, 3), from the canvas to the photograph.
        beyond: grey of what lies beyond the canvas, as around a copy that was turned or padded.
    """

    width: int
    height: int
    canvas: Shape
    inside: np.ndarray
    perspective: np.ndarray
    beyond: float = 0.0

    def view(self, canvas: np.ndarray) -> np.ndarray:
        """Look at a canvas: colours float32 (H, W, 3) are interpolated, whole numbers uint8 (H, W) are not."""
        how, beyond = (cv2.INTER_LINEAR, self.beyond) if canvas.ndim == 3 else (cv2.INTER_NEAREST, 0.0)
        size = self.width, self.height
        return cv2.warpPerspective(canvas, self.perspective, size, flags=how, borderValue=(beyond,) * 3)


def draw_frame(rng: np.random.Generator, side: int) -> Frame:
    """Draw a frame whose longer side has `side` pixels, seen from above or at a slant."""
    formats = list(_FORMATS)
    across, down = formats[int(rng.choice(len(formats), p=list(_FORMATS.values())))]
    width, height = round(side * across / max(across, down)), round(side * down / max(across, down))
    border = round(_BORDER * side)
    tilt = rng.uniform(0, 0.95) if rng.random() < 0.6 else rng.uniform(0, 0.15)
    far, sideways = border * tilt, rng.normal(0, 0.25) * border * tilt
    corners = np.array([[-far, -far], [width + far, -far], [width - far, height], [far, height]])
    corners += rng.normal(0, 0.02 * border, (4, 2)) + np.array([sideways, 0])
    if rng.random() < 0.3:  # held the other way round, the far edge is below
        corners = (corners * [1, -1] + [0, height])[[3, 2, 1, 0]]
    corners += border
    canvas = height + 2 * border, width + 2 * border
    corners = np.clip(corners, 0, [canvas[1] - 1, canvas[0] - 1])
    bordered = rng.random() < _BORDERED
    corners = (_beyond(rng, canvas) if bordered else corners).astype(np.float32)
    photo = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inside = cv2.fillConvexPoly(np.zeros(canvas, np.uint8), np.rint(corners).astype(np.int32), 1) > 0
    beyond = float(rng.choice([0, 0, 0, 114, 255])) if bordered else 0.0
    return Frame(width, height, canvas, inside, cv2.getPerspectiveTransform(corners, photo), beyond)


def _beyond(rng: np.random.Generator, canvas: Shape) -> np.ndarray:
    """Corners that reach beyond the canvas: of a copy that was turned a little, or padded on two sides."""
    middle = np.array(canvas[::-1]) / 2
    if rng.random() < 0.6:
        angle, reach = rng.uniform(-0.28, 0.28), np.ones(2)
    else:
        angle, reach = 0.0, rng.permutation([rng.uniform(1.08, 1.6), 0.98])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * middle * reach
    return middle + corners @ turn + rng.normal(0, 0.03, (4, 2)) * middle * (angle != 0)
