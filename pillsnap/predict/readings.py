"""What was read of pills, from the probabilities that the graph gives."""

from collections.abc import Mapping

import numpy as np

from pillsnap.answers.answer import Reading
from pillsnap.answers.calibration import ReadingCalibration
from pillsnap.reader.looks import COLOUR_NAMES, END, SHAPE_NAMES, imprint_of

SURE = 0.9
"""Probability from which a single character is told where the whole imprint is doubtful."""


def read_pills(found: Mapping[str, np.ndarray], calibration: ReadingCalibration) -> list[Reading]:
    """Read N pills.

    Args:
        found: outputs of the graph: `characters`, float (N, PLACES, 37), `shapes`, (N, 11), `colours`, (N, 16), and
            `disagreements`, (N,).
        calibration: of the reader.
    """
    each = zip(found["characters"], found["shapes"], found["colours"], found["disagreements"], strict=True)
    return [_reading(*pill, calibration=calibration) for pill in each]


def _reading(
    characters: np.ndarray,
    shapes: np.ndarray,
    colours: np.ndarray,
    disagreement: float,
    *,
    calibration: ReadingCalibration,
) -> Reading:
    codes = characters.argmax(axis=1)
    imprint = imprint_of(codes)
    codes[len(imprint) :] = END
    sure = characters[np.arange(len(codes)), codes]
    has = colours > 0.5
    has[colours.argmax()] = True
    return Reading(
        imprint=imprint,
        imprint_confidence=calibration.whole_imprint(float(sure.prod())),
        characters="".join(char for char, each in zip(imprint, sure, strict=False) if each >= SURE),
        shape=SHAPE_NAMES[int(shapes.argmax())],
        shape_confidence=float(shapes.max()),
        colours=tuple(COLOUR_NAMES[number] for number in np.flatnonzero(has)),
        colours_confidence=float(np.where(has, colours, 1 - colours).prod()),
        contradicts=bool(imprint) and bool(disagreement >= calibration.contradicts_from),
    )
