"""Readings from the graph's probabilities."""

from dataclasses import replace

import numpy as np
import pytest

from pillsnap.answers.calibration import ReadingCalibration
from pillsnap.predict.readings import read_pills
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES, codes_of

CALIBRATION = ReadingCalibration(
    imprint_temperature=1.0, shape_temperature=1.0, colour_temperature=1.0, imprint_slope=1.0, imprint_offset=0.0,
    weight=1.0, blank_weight=1.0, blank_scale=1.0, distance_weight=2.0,
    contradicts_from=5.0,
)  # fmt: skip


def found(imprint: str, sure: list[float], colours: dict[str, float], apart: float = 0.0) -> dict[str, np.ndarray]:
    """Outputs of the graph for one pill; `sure` is the probability of each character of `imprint`, and of the end."""
    each = np.array(sure + [0.99] * (PLACES - len(sure)))
    codes = codes_of([imprint])[0]
    characters = np.repeat((1 - each)[:, None] / len(CHARACTERS), len(CHARACTERS) + 1, axis=1)
    characters[np.arange(PLACES), codes] = each
    shapes = np.full(len(SHAPE_NAMES), 0.02)
    shapes[SHAPE_NAMES.index("oval")] = 0.8
    tints = np.array([colours.get(name, 0.0) for name in COLOUR_NAMES])
    return {"characters": characters[None], "shapes": shapes[None], "colours": tints[None], "disagreements": [apart]}


@pytest.mark.parametrize(
    ("imprint", "sure", "characters"),
    [("AB12", [0.99, 0.6, 0.95, 0.9], "A12"), ("", [], ""), ("C", [0.5], ""), ("ABCDEFGH", [0.99] * 8, "ABCDEFGH")],
)
def test_imprint(imprint: str, sure: list[float], characters: str) -> None:
    (reading,) = read_pills(found(imprint, sure, {"white": 0.9}), CALIBRATION)
    assert (reading.imprint, reading.characters) == (imprint, characters)
    expected = np.prod(sure) * 0.99 ** (PLACES - len(sure))
    assert reading.imprint_confidence == pytest.approx(expected)
    assert (reading.shape, reading.shape_confidence) == ("oval", pytest.approx(0.8))


@pytest.mark.parametrize(("slope", "offset", "expected"), [(1.0, 0.0, 0.5), (1.0, 2.0, 0.881), (0.5, -1.0, 0.269)])
def test_whole_imprints_are_calibrated_for_themselves(slope: float, offset: float, expected: float) -> None:
    outputs = found("C", [0.5 / 0.99**7], {"white": 0.9})
    (reading,) = read_pills(outputs, replace(CALIBRATION, imprint_slope=slope, imprint_offset=offset))
    assert reading.imprint_confidence == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("colours", "told", "confidence"),
    [
        ({"white": 0.9}, ("white",), 0.9),
        ({"red": 0.8, "white": 0.7}, ("white", "red"), 0.56),
        ({"red": 0.3, "white": 0.2}, ("red",), 0.24),
    ],
)
def test_colours(colours: dict[str, float], told: tuple[str, ...], confidence: float) -> None:
    (reading,) = read_pills(found("A", [0.9], colours), CALIBRATION)
    assert reading.colours == told and reading.colours_confidence == pytest.approx(confidence)


@pytest.mark.parametrize(("imprint", "apart", "contradicts"), [("A", 4.9, False), ("A", 5.0, True), ("", 20.0, False)])
def test_only_an_imprint_that_is_read_contradicts(imprint: str, apart: float, contradicts: bool) -> None:
    (reading,) = read_pills(found(imprint, [0.9], {"white": 0.9}, apart), CALIBRATION)
    assert reading.contradicts is contradicts
