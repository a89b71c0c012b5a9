"""What was read of a pill, compared with what was read of the photographs of an enrolled drug."""

import math

import numpy as np
import pytest

from pillsnap.answers.answer import Reading
from pillsnap.answers.read_imprints import LEAST, disagreements, read_surely, surprises
from pillsnap.reader.looks import CHARACTERS, PLACES, codes_of


def seen(*imprints: str, sure: float = 0.9999) -> np.ndarray:
    """Probabilities of characters that were read as these imprints, with this probability each."""
    rest = (1 - sure) / len(CHARACTERS)
    read = np.full((len(imprints), PLACES, len(CHARACTERS) + 1), rest, np.float32)
    np.put_along_axis(read, codes_of(imprints)[..., None], np.float32(sure), axis=2)
    return read


def reading(imprint: str, confidence: float) -> Reading:
    return Reading(imprint, confidence, imprint, "round", 1.0, ("white",), 1.0, False)


def test_imprints_are_kept_that_were_read_surely_enough() -> None:
    read = [reading("A1", 0.9), reading("", 0.5), reading("A7", 0.49), None, reading("A1", 0.6)]
    assert read_surely(read) == ("", "A1")
    assert read_surely([None, None]) == ()


def test_an_imprint_surprises_more_than_a_blank_side() -> None:
    assert surprises(seen("", "A1")) == pytest.approx([math.log(2), math.log(4000)])
    doubtful = surprises(seen("A", sure=0.6))  # it may as well be blank
    assert math.log(2) < doubtful[0] < math.log(4000)


def test_an_imprint_agrees_with_the_side_that_fits_best() -> None:
    found = disagreements(seen("A1", "", "XY9"), [("", "A1"), ("A1", "B2")], [5, 5])
    assert found[0] == pytest.approx([0, 0]) and found[1, 0] == pytest.approx(0)
    assert (found[[1, 2], 1] > 10).all() and found[2] == pytest.approx(-LEAST)


@pytest.mark.parametrize("photographs", [1, 5])
def test_a_side_that_no_photograph_showed_costs_no_more_than_its_surprise(photographs: int) -> None:
    pills = seen("A1", "", "XY9")
    (known, blank, other), none = disagreements(pills, [("A1",), ()], [photographs] * 2).T
    more = math.log(photographs + 2)
    assert known == pytest.approx(0)
    assert blank == pytest.approx(math.log(2) + more) and other == pytest.approx(math.log(4000) + more)
    assert none == pytest.approx(surprises(pills))
