"""What reading an archive's labels gives, and the checks that every box must pass."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


class LabelError(ValueError):
    """A label that cannot be used; `reason` is one of the quarantine's reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass
class LabelReading:
    """Rows of the pill and issue tables of one archive, and how many photos and labels were read."""

    archive: str
    pills: list[Row] = field(default_factory=list)
    issues: list[Row] = field(default_factory=list)
    photos_read: int = 0
    labels_read: int = 0

    def note(self, outcome: str, reason: str, *, member: str = "", label_member: str = "", detail: str = "") -> None:
        """Add a row to the issues."""
        self.issues.append(
            {
                "archive": self.archive,
                "member": member,
                "label_member": label_member,
                "outcome": outcome,
                "reason": reason,
                "detail": detail,
            }
        )


def parse_box(values: object) -> tuple[float, float, float, float]:
    """Four finite numbers x, y, w, h with a size; raises `LabelError`."""
    if not values:
        raise LabelError("bbox_missing", repr(values))
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 4:
        raise LabelError("bbox_malformed", repr(values))
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise LabelError("bbox_malformed", repr(values))
    try:
        x, y, w, h = (float(v) for v in values)
    except OverflowError as error:  # an integer of hundreds of digits
        raise LabelError("bbox_malformed", f"{len(repr(values))} characters") from error
    if not all(math.isfinite(v) for v in (x, y, w, h)):
        raise LabelError("bbox_malformed", repr(values))
    if w <= 0 or h <= 0:
        raise LabelError("bbox_zero_size", repr(values))
    return x, y, w, h


def fit_box(box: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    """The box inside a photograph of that size, clipped by at most 2 pixels; raises `LabelError`."""
    x, y, w, h = box
    excess = max(-x, -y, x + w - width, y + h - height)
    if excess > 2:
        raise LabelError("bbox_outside", f"{list(box)} in {width} x {height}")
    if w * h > 0.95 * width * height:
        raise LabelError("bbox_whole_photo", f"{list(box)} in {width} x {height}")
    if excess <= 0:
        return box
    left, top = max(0.0, x), max(0.0, y)
    return left, top, min(x + w, width) - left, min(y + h, height) - top
