"""Agreement of two implementations on the same photographs."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pillsnap.answers.answer import Answer
from pillsnap.pictures.boxes import match_boxes

SAME_BOX = 0.9
"""IoU from which two boxes count as the same pill."""


def agreement(pairs: Iterable[tuple[Answer, Answer]]) -> dict[str, Any]:
    """Compare pairs of answers to the same photographs.

    Returns:
        `photos`; `same_pills` and `same_top1`, the shares of photographs whose answers agree on all pills, and on
        all their drugs; `max_box_error_px` of the pills that agree.
    """
    pills, drugs, error = [], [], 0.0
    for one, other in pairs:
        boxes = [np.array([pill.box for pill in answer.pills]).reshape(-1, 4) for answer in (one, other)]
        matched = match_boxes(*boxes, min_iou=SAME_BOX)
        pills.append(len(one.pills) == len(other.pills) == len(matched))
        same = [one.pills[a].candidates[0].k_code == other.pills[b].candidates[0].k_code for a, b in matched]
        drugs.append(pills[-1] and all(same))
        error = max([error, *(float(np.abs(boxes[0][a] - boxes[1][b]).max()) for a, b in matched)])
    return {
        "photos": len(pills),
        "same_pills": float(np.mean(pills)),
        "same_top1": float(np.mean(drugs)),
        "max_box_error_px": error,
    }
