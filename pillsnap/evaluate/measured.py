"""A measured photograph, and what counts on it: pills found and missed, boxes that are no pill."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pillsnap.answers.accuracy import PhotoResult

MIN_IOU = 0.5
"""IoU from which a box counts as found."""


@dataclass(frozen=True)
class Measured:
    """A measured photograph.

    Attributes:
        archive, member: the photograph's place in its source.
        group: its capture group; copies of one photograph share it.
        pills: number of pills on it, those without a label included.
        result: labels, detections and answer.
        drug: class index of the one pill of a photograph whose label has no box, -1 where the model does not know it;
            `None` where labels have boxes.
    """

    archive: str
    member: str
    group: str
    pills: int
    result: PhotoResult
    drug: int | None = None

    @cached_property
    def matches(self) -> dict[int, int]:
        """Index of the labelled pill by the index of the answer's box that matches it."""
        return dict(self.result.matches(MIN_IOU))

    @property
    def missed(self) -> int:
        """Number of labelled pills that no box matches."""
        return len(self.result.boxes) - len(self.matches)

    @property
    def unmatched(self) -> int:
        """Number of the answer's boxes that match no label."""
        return self.result.answered - len(self.matches)

    @property
    def false(self) -> int:
        """Number of the answer's boxes that are no pill: 0 where a pill may have no label."""
        return self.unmatched if self.result.fully_labelled else 0

    @cached_property
    def label_sizes(self) -> np.ndarray:
        """Longer sides of the labelled boxes as shares of the photograph's, float (N,)."""
        return self._sizes(self.result.boxes)

    @cached_property
    def box_sizes(self) -> np.ndarray:
        """Likewise of the answer's boxes."""
        return self._sizes(self.result.found_boxes[: self.result.answered])

    def _sizes(self, boxes: np.ndarray) -> np.ndarray:
        return boxes[:, 2:].max(axis=1, initial=0) / max(self.result.width, self.result.height)


def worst(measured: Sequence[Measured], count: int) -> list[Measured]:
    """Return the photographs with most missed pills and false boxes, at most `count` of those that have any, and of
    each capture group one."""
    wrong = sorted(measured, key=lambda one: (-one.missed - one.false, one.archive, one.member))
    first = {(one.archive, one.group): one for one in reversed(wrong) if one.missed + one.false}
    return [one for one in wrong if first.get((one.archive, one.group)) is one][:count]
