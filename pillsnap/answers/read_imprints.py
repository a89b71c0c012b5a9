"""How well what was read of a pill fits the imprints that were read of a drug's photographs.

In numpy alone, for drugs that are enrolled after the export; `pillsnap.answers.naming` compares trained drugs, of whose
sides labels tell the imprints.
"""

import math
from collections.abc import Sequence

import numpy as np

from pillsnap.answers.answer import SHOWN_FROM, Reading
from pillsnap.reader.looks import codes_of

LEAST = -20.0
"""Logarithm of the least likelihood of an imprint: labels have errors, and logos are no characters."""
BLANK, PRINTED = math.log(1 / 2), math.log(1 / 4000)
"""Logarithms of how likely a side that nobody saw has no imprint, and has the one that is read.

Of 60 drawn validation drugs enrolled with 5 photographs each, shares of 0.1 to 1 for the first and of 1/300 to 1/20,000
for the second move the share that is named right by less than a point.
"""


def read_surely(readings: Sequence[Reading | None]) -> tuple[str, ...]:
    """The different imprints, empty ones included, that were read with a confidence of `SHOWN_FROM`, sorted."""
    return tuple(sorted({one.imprint for one in readings if one and one.imprint_confidence >= SHOWN_FROM}))


def surprises(characters: np.ndarray) -> np.ndarray:
    """How surprising what was read is of a drug whose imprint is not known: float (N,), 0.7 to 8.3 nats.

    Args:
        characters: probabilities of each place's character, float (N, PLACES, 37).
    """
    blank = _log_likelihoods(_scores(characters), ("",))
    return -np.maximum(blank + BLANK, PRINTED)


def disagreements(characters: np.ndarray, imprints: Sequence[Sequence[str]], photographs: Sequence[int]) -> np.ndarray:
    """Disagreement of what was read with each drug: float (N, drugs), nats, 0 to 20, of the side that fits best.

    A drug of which one imprint was read may have another back. What that costs is the surprise of an imprint that is
    not known, and more, the more photographs all showed the one side: by Laplace's rule, the next shows another one in
    one of n + 2 cases. A drug of which no imprint was read costs the surprise alone.

    Args:
        characters: as for `surprises`.
        imprints: that were read of each drug's photographs.
        photographs: their numbers, n.
    """
    scores, unseen = _scores(characters), surprises(characters)
    apart = np.empty((len(characters), len(imprints)))
    for column, read, number in zip(apart.T, imprints, photographs, strict=True):
        column[:] = -_log_likelihoods(scores, read) if read else unseen
        if len(read) == 1:
            np.minimum(column, unseen + math.log(number + 2), out=column)
    return apart


def _scores(characters: np.ndarray) -> np.ndarray:
    """Logarithm of P(character) / P(the likeliest one) at each place, float64 (N, PLACES, 37)."""
    scores: np.ndarray = np.log(np.maximum(characters.astype(np.float64), np.finfo(np.float32).tiny))
    return scores - scores.max(axis=2, keepdims=True)


def _log_likelihoods(scores: np.ndarray, imprints: Sequence[str]) -> np.ndarray:
    """Logarithm of the likelihood of the imprint that fits best, float (N,), at least `LEAST`."""
    codes = codes_of(imprints)
    of_each = scores[:, np.arange(codes.shape[1]), codes].sum(axis=2)
    likelihoods: np.ndarray = np.maximum(of_each.max(axis=1), LEAST)
    return likelihoods
