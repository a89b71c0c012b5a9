"""The canvas of a scene: what is on it, which pill each pixel shows, and the labels that follow."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from pillsnap.scenes.cut_outs import CutOut
from pillsnap.scenes.frame import Frame
from pillsnap.scenes.light import Light, cast_shadows, seen_through

_LEAST_IN_FRAME, _LEAST_LABELLED = 0.3, 0.1
"""Share of a pill that must lie in the frame, and that must be seen for a label."""


@dataclass(frozen=True)
class ScenePill:
    """A pill's label: its drug, the box x, y, w, h in pixels of the part that is seen, and the share that it is."""

    k_code: str
    class_index: int
    box: tuple[int, int, int, int]
    visible: float


@dataclass
class Canvas:
    """A scene in the making, seen from straight above.

    Attributes:
        picture: float32 (H, W, 3), 0 to 255.
        frame: what the camera sees of it.
        light: of the scene.
        owner: uint8 (H, W), the number of the pill that a pixel shows, from 1; 0 for none.
        cut_outs: the pills on it.
        areas: pixels of each, hidden ones too.
    """

    picture: np.ndarray
    frame: Frame
    light: Light
    owner: np.ndarray = field(init=False)
    cut_outs: list[CutOut] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.owner = np.zeros(self.picture.shape[:2], np.uint8)

    def fits(self, alpha: np.ndarray, centre: np.ndarray, *, most_covered: float, pill: bool) -> bool:
        """Whether a pill is in the frame by a third, and whether enough of all pills beneath a patch stays visible."""
        rows, columns, cover = self._overlap(alpha, _corner(centre, alpha))
        solid = cover > 127
        area = (alpha > 127).sum()
        if pill and (solid & self.frame.inside[rows, columns]).sum() < _LEAST_IN_FRAME * area:
            return False
        hidden = np.bincount(self.owner[rows, columns][solid], minlength=len(self.areas) + 1)
        for number in np.flatnonzero(hidden[1:]) + 1:
            seen = int((self.owner == number).sum()) - hidden[number]
            if seen < (1 - most_covered) * self.areas[number - 1]:
                return False
        return True

    def put(
        self,
        colour: np.ndarray,
        alpha: np.ndarray,
        centre: np.ndarray,
        *,
        height: float = 0.0,
        clear: float = 0.0,
        cut_out: CutOut | None = None,
    ) -> None:
        """Lay a patch down, uint8 or float32 (h, w, 3) with coverage uint8 (h, w); `height` pixels of it cast a shadow.

        A share `clear` of what is beneath shines through. A thing hides the pills beneath it; where `cut_out` is given,
        the patch is a pill.
        """
        place = _corner(centre, alpha)
        if height:
            cast_shadows(self.picture, alpha, place, height, self.light)
        rows, columns, cover = self._overlap(alpha, place)
        if not cover.size:
            return
        if cut_out is not None:
            self.cut_outs.append(cut_out)
            self.areas.append(int((alpha > 127).sum()))
        top, left = rows.start - place[1], columns.start - place[0]
        part = self.picture[rows, columns]
        shown = colour[top : top + cover.shape[0], left : left + cover.shape[1]]
        if clear:
            shown = seen_through(shown, cover, part, self.light, clear)
        part += (shown - part) * (cover * np.float32(1 / 255))[..., None]
        self.owner[rows, columns][cover > 127] = len(self.areas) if cut_out is not None else 0

    def labels(self) -> list[ScenePill]:
        """Label every pill of which the photograph shows a tenth."""
        owner = self.frame.view(self.owner)
        seen = np.bincount(self.owner[self.frame.inside], minlength=len(self.areas) + 1)
        pills = []
        for number, (area, pill) in enumerate(zip(self.areas, self.cut_outs, strict=True), start=1):
            x, y, w, h = cv2.boundingRect((owner == number).astype(np.uint8))
            if not (w and h):
                continue
            visible = min(1.0, seen[number] / area)
            if visible >= _LEAST_LABELLED:
                pills.append(ScenePill(pill.k_code, pill.class_index, (x, y, w, h), round(visible, 4)))
        return pills

    def _overlap(self, alpha: np.ndarray, place: tuple[int, int]) -> tuple[slice, slice, np.ndarray]:
        """Rows and columns of the canvas that a patch lies on, and its coverage there."""
        (x, y), (height, width), (rows, columns) = place, alpha.shape, self.owner.shape
        x0, y0 = min(max(0, x), columns), min(max(0, y), rows)
        x1, y1 = max(x0, min(columns, x + width)), max(y0, min(rows, y + height))
        return slice(y0, y1), slice(x0, x1), alpha[y0 - y : y1 - y, x0 - x : x1 - x]


def _corner(centre: np.ndarray, alpha: np.ndarray) -> tuple[int, int]:
    return int(centre[0] - alpha.shape[1] / 2), int(centre[1] - alpha.shape[0] / 2)
