"""What is read joins the classifier's opinion: likelihoods of imprints, joined logits, disagreements."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.naming import Imprints, held_back, join_reading, log_probabilities
from pillsnap.answers.read_imprints import LEAST
from pillsnap.reader.looks import CHARACTERS, PLACES, Looks, codes_of

READING = ReadingCalibration(
    imprint_temperature=1.0, shape_temperature=1.0, colour_temperature=1.0, imprint_slope=1.0, imprint_offset=0.0,
    weight=1.5, blank_weight=1.5, blank_scale=1.0, distance_weight=2.0,
    contradicts_from=5.0,
)  # fmt: skip
CALIBRATION = Calibration(
    temperature=1.0, known_from=0.9, known_within=10.0, unknown_from=20.0, set_from={"0.95": 0.1}, precision=0.99,
    coverage=0.95, kept=0.95, reading=READING,
)  # fmt: skip
SIDES = (("AB1", "7"), ("AB1", ""), ("C9", ""), ("", ""))


def drugs() -> Imprints:
    return Imprints.of_drugs([Looks(sides, None, frozenset()) for sides in SIDES])


def read(*imprints: str, sure: float = 8.0) -> np.ndarray:
    """The reader's logits where it reads these imprints."""
    logits = np.zeros((len(imprints), PLACES, len(CHARACTERS) + 1), np.float32)
    np.put_along_axis(logits, codes_of(imprints)[..., None], sure, axis=2)
    return logits


@pytest.mark.parametrize(
    ("imprint", "fitting"),
    [("AB1", {0, 1}), ("7", {0}), ("", {1, 2, 3}), ("C9", {2}), ("XY12", set())],
)
def test_the_side_that_fits_better_counts(imprint: str, fitting: set[int]) -> None:
    (likelihoods,) = drugs().log_likelihoods(read(imprint), 1.0)
    assert {drug for drug, value in enumerate(likelihoods) if value > -1e-3} == fitting
    assert all(LEAST <= value <= 0 for value in likelihoods)


def test_likelihoods_are_those_of_the_places_one_by_one() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (50, PLACES, len(CHARACTERS) + 1))
    scores, found = log_probabilities(logits, 1.7), drugs().log_likelihoods(logits, 1.7)
    for pill, drug in ((0, 0), (10, 1), (49, 2)):
        of_sides = [
            sum(scores[pill, place, code] - scores[pill, place].max() for place, code in enumerate(codes))
            for codes in drugs().codes[drug]
        ]
        assert found[pill, drug] == pytest.approx(max(LEAST, *of_sides), abs=1e-3)


def test_an_imprint_decides_between_drugs_that_look_alike() -> None:
    logits = np.array([[3.0, 0.0, 3.1, 0.0]] * 3, np.float32)
    joined, distances, apart = join_reading(logits, np.full(3, 4.0), read("AB1", "C9", "XY12"), drugs(), READING)
    assert joined.argmax(axis=1).tolist() == [0, 2, 2]
    assert apart[0] == pytest.approx(0, abs=1e-3) and apart[1] == pytest.approx(0, abs=1e-3)
    assert apart[2] == pytest.approx(-LEAST)
    assert distances == pytest.approx(4 + 2 * apart, abs=1e-4)


def test_without_weight_nothing_changes() -> None:
    logits = np.array([[3.0, 0.0, 3.1, 0.0]], np.float32)
    plain = replace(READING, weight=0.0, blank_weight=0.0, distance_weight=0.0)
    joined, distances, _ = join_reading(logits, np.array([4.0]), read("XY12"), drugs(), plain)
    assert joined.tolist() == logits.tolist() and distances.tolist() == [4.0]


def test_a_side_on_which_nothing_is_read_counts_by_its_own_weight() -> None:
    logits = np.array([[3.0, 0.0, 3.1, 0.0]] * 2, np.float32)
    imprints, given = drugs(), read("", "AB1", sure=30.0)
    likelihoods = imprints.log_likelihoods(given, READING.imprint_temperature)
    own = replace(READING, blank_weight=0.1, blank_scale=2.0)
    joined, *_ = join_reading(logits, np.zeros(2), given, imprints, own)
    assert joined[0] == pytest.approx(2.0 * (logits[0] + 0.1 * likelihoods[0]), abs=1e-4)
    assert joined[1] == pytest.approx(logits[1] + 1.5 * likelihoods[1], abs=1e-4)
    doubtful = np.mean(given, axis=0, keepdims=True)  # blank or an A, one as likely as the other
    joined, *_ = join_reading(logits[:1], np.zeros(1), doubtful, imprints, own)
    likelihoods = imprints.log_likelihoods(doubtful, READING.imprint_temperature)
    assert joined[0] == pytest.approx(1.5 * (logits[0] + 0.8 * likelihoods[0]), abs=1e-3)


@pytest.mark.parametrize(("distance", "apart", "expected"), [(3, 4.9, 3), (3, 5.0, 10), (12, 9.0, 12), (3, 0.0, 3)])
def test_a_contradicted_answer_is_not_known(distance: float, apart: float, expected: float) -> None:
    (held,) = held_back(np.array([distance], np.float32), np.array([apart]), np.array([False]), CALIBRATION)
    assert held == expected
    assert (CALIBRATION.verdict(0.999, float(held)) == "known") == (apart < 5.0 and distance < 10)


@pytest.mark.parametrize(
    ("blank_within", "blank", "expected"),
    [(4.0, True, [3, 10, 10, 12]), (4.0, False, [3, 4, 9, 12]), (None, True, [3, 4, 9, 12])],
    ids=["blank", "printed", "no limit"],
)
def test_a_blank_side_is_known_within_its_own_limit(blank_within: float | None, blank: bool, expected: list) -> None:
    limited = replace(CALIBRATION, blank_within=blank_within)
    held = held_back(np.array([3.0, 4.0, 9.0, 12.0]), np.zeros(4), np.full(4, blank), limited)
    assert held.tolist() == expected


def test_a_blank_side_contradicts_nothing() -> None:
    held = held_back(np.array([3.0, 3.0]), np.array([9.0, 9.0]), np.array([True, False]), CALIBRATION)
    assert held.tolist() == [3.0, 10.0]


def test_infinite_limits_never_contradict() -> None:
    never = replace(CALIBRATION, reading=replace(READING, contradicts_from=math.inf))
    assert held_back(np.array([3.0]), np.array([12.0]), np.array([False]), never).tolist() == [3.0]
