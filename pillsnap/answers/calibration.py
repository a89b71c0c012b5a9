"""Temperature and thresholds that turn logits into verdicts and prediction sets."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pillsnap.answers.answer import PHOTOS_OF_ONE_PILL, Verdict

LEAST = 1e-30
"""Least probability whose logarithm is taken: float32 rounds smaller ones to 0, which has none."""

BLOCK_ROWS = 256
"""Rows of logits whose probabilities are computed at once: those of all test pills would double their memory."""

LEAST_ODDS = 1e-6
"""Probability that an imprint's product of probabilities is kept away from 0 and 1 by."""


@dataclass(frozen=True)
class ReadingCalibration:
    """How what the reader reads becomes probabilities, and how much it counts beside the classifier.

    Attributes:
        imprint_temperature, shape_temperature, colour_temperature: divide the reader's logits.
        imprint_slope, imprint_offset: of the log-odds that the whole imprint is right, as a linear function of those
            that follow from its characters one by one: their errors come together.
        weight: factor of each drug's log-likelihood of the imprint, which is added to its logit.
        blank_weight: the same for a pill on which surely no imprint is read, which tells less; where that is doubtful,
            the weight is between both, by its probability.
        blank_scale: likewise a factor of the joined logits, 1 with an imprint: one temperature suits both kinds.
        distance_weight: factor of the disagreement of the imprint with the named drug, which is added to the relative
            distance.
        contradicts_from: disagreement from which an imprint that is read contradicts the named drug.
    """

    imprint_temperature: float
    shape_temperature: float
    colour_temperature: float
    imprint_slope: float
    imprint_offset: float
    weight: float
    blank_weight: float
    blank_scale: float
    distance_weight: float
    contradicts_from: float

    def whole_imprint(self, one_by_one: float) -> float:
        """Probability that a whole imprint is right, from the product of those of its characters."""
        odds = min(max(one_by_one, LEAST_ODDS), 1 - LEAST_ODDS)
        return 1 / (1 + math.exp(-self.imprint_slope * math.log(odds / (1 - odds)) - self.imprint_offset))


@dataclass(frozen=True)
class Calibration:
    """Values chosen on validation by `calibrate_answers` and stored in the exported model.

    Attributes:
        temperature: divides the logits before the softmax.
        known_from: calibrated probability from which an answer may be `known`; `None` where validation could not
            show the promised precision, so that no answer is `known`.
        known_within: relative distance to the nearest drug below which an answer may be `known`, less than
            `unknown_from`.
        blank_within: as `known_within`, of a pill on which the reader reads no imprint: such sides look alike more
            often; `None` without a reader.
        unknown_from: relative distance to the nearest drug from which an answer is `unknown`.
        set_from: for each coverage, the calibrated probability from which a drug belongs to the prediction set.
        precision, coverage, kept: what is promised, see `pillsnap.answers.answer.ModelInfo`.
        pairs: the same for a pill that two photographs show, where its temperature divides `joined_logits`; `None` in
            models of older versions, and where no drug has two validation photographs.
        agree_from: of a pill that two photographs show, the agreement of both (`agreements`) from which an answer may
            be `known`: below it, they may well show two pills; `None` of one photograph, in models of older versions,
            and where no validation pair of different drugs would be `known`.
        plain_within, plain_from: as `known_within` and `unknown_from`, of the Mahalanobis distance itself, in which
            enrolled drugs are compared with trained ones; `None` in models of older versions, see `plain_limits`.
        reading: of the reader; `None` without one.
    """

    temperature: float
    known_from: float | None
    known_within: float
    unknown_from: float
    set_from: Mapping[str, float]
    precision: float
    coverage: float
    kept: float
    pairs: "Calibration | None" = None
    plain_within: float | None = None
    plain_from: float | None = None
    blank_within: float | None = None
    agree_from: float | None = None
    reading: ReadingCalibration | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Calibration":
        """Build from the values of `to_json`."""
        pairs, reading = values.get("pairs"), values.get("reading")
        parts = {"pairs": pairs and cls.from_json(pairs), "reading": reading and ReadingCalibration(**reading)}
        return cls(**{**values, **parts})

    @property
    def of_pairs(self) -> "Calibration":
        """Thresholds of a pill that two photographs show.

        Without `pairs`, nothing is promised: no answer is `known`, the other thresholds are those of one photograph,
        and probabilities are no surer than those of the two photographs on average.
        """
        unpaired = replace(self, temperature=float(PHOTOS_OF_ONE_PILL), known_from=None, known_within=0.0)
        return replace(self.pairs or unpaired, reading=self.reading)

    @property
    def plain_limits(self) -> tuple[float, float]:
        """`plain_within` and `plain_from`; in models of older versions, verdicts rest on the same distance."""
        if self.plain_within is None or self.plain_from is None:
            return self.known_within, self.unknown_from
        return self.plain_within, self.plain_from

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax of float (N, classes) logits divided by the temperature: float (N, classes), rows sum to 1."""
        return probabilities(logits, self.temperature)

    def confidences(self, logits: np.ndarray) -> np.ndarray:
        """Highest of the `probabilities` of each row of float (N, classes) logits: (N,)."""
        return confidences(logits, self.temperature)

    def verdict(self, confidence: float, distance: float) -> Verdict:
        """Verdict on a pill, from its top-1 probability (calibrated) and its relative distance to the nearest drug."""
        if distance >= self.unknown_from:
            return "unknown"
        sure = self.known_from is not None and confidence >= self.known_from and distance < self.known_within
        return "known" if sure else "uncertain"

    def held_apart(self, distances: np.ndarray, agreements: np.ndarray) -> np.ndarray:
        """Relative distances of pairs of photographs, float (N,), of which those that do not agree are made too large
        for a `known` answer, though not so large that it is `unknown`."""
        apart = agreements < (self.agree_from or 0.0)
        return np.where(apart, np.maximum(distances, np.float32(self.known_within)), distances)

    def prediction_set(self, probabilities: np.ndarray, coverage: float | None = None) -> np.ndarray:
        """Class indices of the conformal set of one answer, most probable first, never empty.

        Args:
            probabilities: calibrated, float (classes,).
            coverage: one of `set_from`; the promised one by default.
        """
        least = self.set_from[str(self.coverage if coverage is None else coverage)]
        ranked = np.argsort(-probabilities, kind="stable")
        return ranked[: max(1, int((probabilities >= least).sum()))]


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of float (N, classes) logits divided by a temperature: float (N, classes), rows sum to 1."""
    if not logits.size:
        return logits
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def confidences(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Highest of the `probabilities` of each row of float (N, classes) logits: (N,)."""
    highest = np.empty(len(logits), logits.dtype)
    for rows in row_blocks(len(logits)):
        highest[rows] = probabilities(logits[rows], temperature).max(axis=1)
    return highest


def of_targets(rows_of: Callable[[slice], np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Value of each row's target, (N,), in float64 rows of N x classes that `rows_of` computes block by block."""
    values = np.empty(len(targets))
    for rows in row_blocks(len(targets)):
        block = rows_of(rows)
        values[rows] = block[np.arange(len(block)), targets[rows]]
    return values


def row_blocks(rows: int) -> Iterator[slice]:
    """Yield the rows of a large array in blocks, whose intermediate results are small beside the array."""
    yield from (slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS))


def joined_logits(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of pills that several photographs show: the sum of the logarithms of their calibrated probabilities.

    Args:
        probabilities: of each photograph, float (N, classes); row i of all of them is the same pill.

    Returns:
        float64 (N, classes). They are those of independent photographs of drugs that are equally frequent (a product
        of experts); a temperature makes good that photographs of one pill are not independent.
    """
    return np.sum([np.log(np.maximum(each.astype(np.float64), LEAST)) for each in probabilities], axis=0)


def agreements(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Probability that two photographs show the same drug, where each shows what it alone makes probable.

    Args:
        first, second: calibrated probabilities of each photograph, float (N, classes); row i of both is a pair.

    Returns:
        float64 (N,), 0 to 1.
    """
    return np.einsum("nc,nc->n", first.astype(np.float64), second.astype(np.float64))
