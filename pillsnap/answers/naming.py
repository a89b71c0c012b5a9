"""How well what was read fits each drug's imprints, and what that adds to the classifier's opinion.

Computed here in numpy, and in the exported graph by `pillsnap.onnx.steps.reading_step`; tests compare them.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.read_imprints import LEAST
from pillsnap.reader.looks import CHARACTERS, END, PLACES, Looks, codes_of

_ROWS = 4096


class Imprints:
    """Imprints of the drugs of a model, in class order."""

    def __init__(self, codes: np.ndarray) -> None:
        """Take the codes of front and back, int (drugs, 2, PLACES), see `pillsnap.reader.looks.codes_of`."""
        self.codes = codes

    @classmethod
    def of_drugs(cls, looks: Sequence[Looks]) -> "Imprints":
        """Encode front and back of each drug."""
        return cls(codes_of([side for drug in looks for side in drug.imprints]).reshape(-1, 2, PLACES))

    def log_likelihoods(self, characters: np.ndarray, temperature: float) -> np.ndarray:
        """Logarithm of P(what was read | imprint of the drug) / P(what was read | the likeliest characters), of the
        side that fits better: float32 (N, drugs), from `LEAST` to 0.

        Args:
            characters: logits of each place's character, float (N, PLACES, 37).
            temperature: that divides them.
        """
        likelihoods = np.empty((len(characters), len(self.codes)), np.float32)
        columns = self.one_hot
        for start in range(0, len(characters), _ROWS):  # those of both sides, of all pills, may not fit into memory
            rows = slice(start, start + _ROWS)
            scores = log_probabilities(characters[rows], temperature)
            scores -= scores.max(axis=2, keepdims=True)
            of_sides = scores.reshape(len(scores), -1) @ columns
            likelihoods[rows] = of_sides.reshape(len(scores), -1, 2).max(axis=2)
        return np.maximum(likelihoods, LEAST, out=likelihoods)

    @property
    def one_hot(self) -> np.ndarray:
        """float32 (PLACES * 37, drugs * 2): the columns are the codes of each side."""
        sides = self.codes.reshape(-1, PLACES)
        ones = np.zeros((PLACES, len(CHARACTERS) + 1, len(sides)), np.float32)
        ones[np.arange(PLACES), sides, np.arange(len(sides))[:, None]] = 1
        return ones.reshape(-1, len(sides))


def log_probabilities(characters: np.ndarray, temperature: float) -> np.ndarray:
    """Logarithms of the probabilities of each place's characters, from logits (N, PLACES, 37): float32, as large."""
    return log_softmax(characters.astype(np.float32) / np.float32(temperature), axis=-1)


def join_reading(
    logits: np.ndarray,
    relative: np.ndarray,
    characters: np.ndarray,
    imprints: Imprints,
    reading: ReadingCalibration,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join the opinions of classifier and reader.

    Args:
        logits: of the classifier, float (N, drugs).
        relative: relative distances to the nearest drug, float (N,).
        characters: logits of the reader, float (N, PLACES, 37).
        imprints: of the drugs.
        reading: temperature and weights.

    Returns:
        the joined logits, float32 (N, drugs), which then name the drug; the joined distances, (N,); and the
        disagreement of the imprint with the named drug, (N,): the logarithm of how much likelier what was read is of
        other characters than of its imprints, 0 to 20.
    """
    likelihoods = imprints.log_likelihoods(characters, reading.imprint_temperature)
    blank = np.exp(log_probabilities(characters[:, :1], reading.imprint_temperature)[..., END])
    weights = reading.weight + (reading.blank_weight - reading.weight) * blank
    scales = 1 + (reading.blank_scale - 1) * blank
    joined = weights * likelihoods  # in place from here: of thousands of drugs, each copy is gigabytes
    joined += logits
    joined *= scales
    joined = joined.astype(np.float32, copy=False)
    named = joined.argmax(axis=1)
    disagreements = -likelihoods[np.arange(len(named)), named]
    return joined, (relative + np.float32(reading.distance_weight) * disagreements).astype(np.float32), disagreements


def is_blank(characters: np.ndarray) -> np.ndarray:
    """Whether no imprint is read, bool (N,), from logits of each place's character, (N, PLACES, 37)."""
    return characters[:, 0].argmax(axis=1) == END


def held_back(
    relative: np.ndarray, disagreements: np.ndarray, blank: np.ndarray, calibration: Calibration
) -> np.ndarray:
    """Relative distances, float (N,), of which some are made too large for a `known` answer, though not so large that
    it is `unknown`: those of drugs that an imprint contradicts, and from `blank_within` on those of pills that are
    `blank`, bool (N,)."""
    contradicted = calibration.reading is not None and ~blank & (disagreements >= calibration.reading.contradicts_from)
    faint = blank & (relative >= (math.inf if calibration.blank_within is None else calibration.blank_within))
    return np.where(contradicted | faint, np.maximum(relative, np.float32(calibration.known_within)), relative)
