"""Likelihood of a reading of a pill, given how each drug of a catalogue looks.

Each function returns natural logarithms of P(reading | drug) / P(reading | a drug that looks exactly so): 0 where all
is as it was read, and 2.3 less for each factor of ten by which the reading is less likely. The error rates below are
assumed, not measured.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

Value = TypeVar("Value", bound=Hashable)

LETTER_RIGHT, LETTER_CONFUSED, LETTER_OTHER, LETTER_LEFT_OUT, LETTER_ADDED = 0.85, 0.04, 5e-4, 0.01, 3e-4
"""Of a printed letter: read right, as one that looks like it, as a certain other one, not at all; a certain letter that
is not there."""
CUT, CUT_MORE = 0.1, 0.8
"""Of an end of the imprint: not all of it was read, and one letter more was left."""
ONE_SIDE = 0.5
"""Only one side or part was read, of an imprint that has more."""
LETTERS_ALIKE = "0O 0D 0Q OD OQ 1I 1L IL 8B 5S 2Z 6G 69 CG UV MW"
"""Letters that people take for each other, some of them upside down."""

SHAPE_RIGHT, SHAPE_NEAR, SHAPE_OTHER = 0.9, 0.04, 0.003
SHAPES_ALIKE = "oval:oblong oval:round octagon:round octagon:hexagon hexagon:pentagon square:diamond square:oblong"
COLOUR_RIGHT, COLOUR_NEAR, COLOUR_OTHER, COLOUR_LEFT_OUT = 0.85, 0.04, 0.002, 0.3
COLOURS_ALIKE = (
    "white:yellow white:grey white:transparent white:pink yellow:orange yellow:yellow-green orange:pink orange:red "
    "orange:brown pink:red pink:purple red:brown red:wine wine:purple wine:brown yellow-green:green green:turquoise "
    "turquoise:blue blue:navy blue:purple navy:purple navy:black grey:black"
)
SCORE_RIGHT, SCORE_OTHER = 0.85, 0.05
SIZE_MISTAKEN = 0.01
"""A size that was measured wrong altogether."""


class Imprints:
    """Texts of imprints, to compare what was read with all of them at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Encode the texts, each of letters and digits."""
        self._order = np.array(sorted(range(len(texts)), key=lambda place: -len(texts[place])), dtype=np.int64)
        ordered = [texts[place] for place in self._order]
        self._lengths = np.array([len(text) for text in ordered], dtype=np.int64)
        self._numbers = {char: number for number, char in enumerate(sorted(set("".join(ordered))))}
        longest = len(ordered[0]) if ordered else 0
        self._codes = np.zeros((longest, len(ordered)), dtype=np.int64)
        for column, text in enumerate(ordered):
            self._codes[: len(text), column] = [self._numbers[char] for char in text]

    def log_likelihood(self, read: str) -> np.ndarray:
        """Compare a reading of m characters with each text: (number of texts,), by the likeliest alignment."""
        columns = [self._substitutions(char) for char in read]
        added, left_out = math.log(LETTER_ADDED), math.log(LETTER_LEFT_OUT)
        # before[i]: likeliest way to have read i characters when the letters up to this column are over
        before = [np.full(len(self._lengths), place * added, dtype=np.float32) for place in range(len(read) + 1)]
        best = before[-1] + _unread_end(self._lengths)
        for column, codes in enumerate(self._codes, start=1):
            count = int(np.searchsorted(-self._lengths, -column, side="right"))  # those that have this letter
            now = [np.full(count, _unread_end(np.array([column]))[0], dtype=np.float32)]
            for place, substitutions in enumerate(columns):
                taken = before[place][:count] + substitutions[codes[:count]]
                np.maximum(taken, before[place + 1][:count] + left_out, out=taken)
                np.maximum(taken, now[place] + added, out=taken)
                now.append(taken)
            end = now[-1] + _unread_end(self._lengths[:count] - column)
            np.maximum(best[:count], end, out=best[:count])
            before = now
        found = np.empty_like(best)
        found[self._order] = best
        return found - len(read) * math.log(LETTER_RIGHT)

    def _substitutions(self, read: str) -> np.ndarray:
        """Logarithms of the rates at which each character of the texts is read so: (alphabet,)."""
        alike = {pair.replace(read, "", 1) for pair in LETTERS_ALIKE.split() if read in pair}
        rates = {read: LETTER_RIGHT} | dict.fromkeys(alike, LETTER_CONFUSED)
        return np.log([rates.get(char, LETTER_OTHER) for char in self._numbers]).astype(np.float32)


def _unread_end(letters: np.ndarray) -> np.ndarray:
    """Of letters at an end that were not read."""
    return np.where(letters > 0, math.log(CUT) + letters * math.log(CUT_MORE), 0).astype(np.float32)


def log_shape(read: str, shape: str) -> float:
    """Of a shape of the vocabulary that was read, for a drug of another or the same."""
    return _log_read(read, shape, SHAPES_ALIKE, (SHAPE_RIGHT, SHAPE_NEAR, SHAPE_OTHER))


def log_score_line(read: str, score: str) -> float:
    """Of a score line that was read."""
    return _log_read(read, score, "", (SCORE_RIGHT, SCORE_OTHER, SCORE_OTHER))


def log_colours(read: Sequence[str], colours: Sequence[str]) -> float:
    """Of colours that were read: each of them for the nearest of the drug's, and the drug's that nobody read."""
    rates = (COLOUR_RIGHT, COLOUR_NEAR, COLOUR_OTHER)
    each = (max(_log_read(one, colour, COLOURS_ALIKE, rates) for colour in colours) for one in read)
    return sum(each) + max(0, len(colours) - len(read)) * math.log(COLOUR_LEFT_OUT)


def log_size(read: float, sizes: np.ndarray, tolerance: float) -> np.ndarray:
    """Of a size in mm with a standard deviation, for sizes in mm (n,)."""
    z = (sizes - read) / tolerance
    return np.log((1 - SIZE_MISTAKEN) * np.exp(-(z**2) / 2) + SIZE_MISTAKEN)


def of_each(log_rate: Callable[[Value], float], values: Sequence[Value | None]) -> np.ndarray:
    """A logarithm for every drug: (drugs,).

    Args:
        log_rate: of one value.
        values: of each drug; an empty one or `None` where the catalogue does not tell, which counts as the mean
            likelihood of the others.
    """
    rates = {value: log_rate(value) for value in set(values) if value}
    return with_mean(np.array([rates[value] if value else np.nan for value in values]))


def with_mean(logarithms: np.ndarray) -> np.ndarray:
    """Put the mean likelihood of the known ones in the place of NaN; 0 where none is known."""
    unknown = np.isnan(logarithms)
    if unknown.all():
        return np.zeros(len(logarithms))
    return np.where(unknown, np.log(np.exp(logarithms[~unknown]).mean()), logarithms)


def _log_read(read: str, true: str, alike: str, rates: tuple[float, float, float]) -> float:
    right, near, other = rates
    if read == true:
        return 0.0
    near_by = {f"{read}:{true}", f"{true}:{read}"} & set(alike.split())
    return math.log((near if near_by else other) / right)
