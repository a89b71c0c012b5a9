"""What the reader reads of the test part's pills, against the labels' words for their drugs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pillsnap.answers.answer import SHOWN_FROM, Answer, Reading
from pillsnap.answers.calibration_metrics import expected_calibration_error
from pillsnap.pictures.boxes import match_boxes
from pillsnap.reader.looks import Looks

ReadPill = tuple[str, Reading]
"""K-code of a pill, and what was read of it."""


def read_pills_of(answer: Answer, k_codes: Sequence[str], boxes: np.ndarray, min_iou: float) -> list[ReadPill]:
    """The labelled pills of a photograph that the answer found and read.

    Args:
        answer: to the photograph.
        k_codes, boxes: of its labelled pills; x, y, w, h, float (N, 4).
        min_iou: IoU from which a box of the answer is the pill.
    """
    found = np.array([pill.box for pill in answer.pills]).reshape(-1, 4)
    matched = [(answer.pills[one].reading, k_codes[label]) for one, label in match_boxes(found, boxes, min_iou=min_iou)]
    return [(k_code, reading) for reading, k_code in matched if reading]


def reading_metrics(pills: Sequence[ReadPill], looks: Mapping[str, Looks]) -> dict[str, Any] | None:
    """Shares of pills that are read right; `None` where nothing was read.

    Which side a photograph shows is not told by every source: an imprint is right if it is that of either side, and
    `both_printed` are the pills of drugs with an imprint on each, where reading nothing is wrong.

    Args:
        pills: of `read_pills_of`.
        looks: of each drug by K-code.
    """
    known = [(reading, looks[k_code]) for k_code, reading in pills if k_code in looks]
    if not known:
        return None
    right = np.array([reading.imprint in drug.imprints for reading, drug in known])
    sure = np.array([reading.imprint_confidence for reading, _ in known])
    told, printed = sure >= SHOWN_FROM, np.array([all(drug.imprints) for _, drug in known])
    return {
        "pills": len(known),
        "imprint": _share(right),
        "imprint_ece": expected_calibration_error(sure, right),
        "imprint_told": _share(told),
        "imprint_right_if_told": _share(right[told]),
        "both_printed": {"pills": int(printed.sum()), "imprint": _share(right[printed])},
        "shape": _share([reading.shape == drug.shape for reading, drug in known if drug.shape]),
        "colours": _share([set(reading.colours) == drug.colours for reading, drug in known if drug.colours]),
        "contradicts": _share([reading.contradicts for reading, _ in known]),
    }


def _share(values: Sequence[bool] | np.ndarray) -> float | None:
    """Share of true ones; `None` of none."""
    return float(np.mean(values)) if len(values) else None
