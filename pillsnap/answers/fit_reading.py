"""Calibrate the reader on validation, and weigh what it reads against the classifier."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_expit, log_softmax
from sklearn.metrics import roc_auc_score

from pillsnap.answers.calibration import LEAST_ODDS, ReadingCalibration, of_targets
from pillsnap.answers.naming import Imprints, is_blank, join_reading, log_probabilities
from pillsnap.answers.read_imprints import LEAST
from pillsnap.reader.looks import COLOUR_NAMES, SHAPE_NAMES, Looks, imprint_of

TEMPERATURES = (0.2, 20.0)
"""Bounds of the reader's temperatures."""
LARGEST_WEIGHT = 10.0
DISTANCE_WEIGHTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Factors of the disagreement among which one is chosen."""
_PULL = 2.0
"""Chosen among 0, 0.5, 2, 5 and 15 by cross-validation within the validation pills of two runs."""
CONTRADICTED = 0.01
"""Share of the rightly named validation pills with an imprint that is read which may seem to contradict."""


@dataclass(frozen=True)
class ReadPills:
    """The reader's logits of N pills: of characters (N, PLACES, 37), shapes (N, 11), colours (N, 16)."""

    characters: np.ndarray
    shapes: np.ndarray
    colours: np.ndarray


def fit_reading(
    logits: np.ndarray, targets: np.ndarray, read: ReadPills, looks: Sequence[Looks]
) -> ReadingCalibration | None:
    """Fit everything on validation pills but the `distance_weight`, which is 0 here; `None` where no drug's labels tell
    an imprint.

    Args:
        logits: of the classifier, (N, drugs).
        targets: class indices (N,).
        read: what was read of the same pills.
        looks: of each drug.
    """
    if not any(imprint for drug in looks for imprint in drug.imprints):
        return None
    imprints = Imprints.of_drugs(looks)
    imprint_temperature = _temperature(lambda value: _imprint_loss(read.characters, value, imprints.codes[targets]))
    likelihoods = imprints.log_likelihoods(read.characters, imprint_temperature)
    blank = is_blank(read.characters)
    weight, blank_weight, blank_scale = _weights(logits, likelihoods, targets, blank)
    pill_looks = [looks[target] for target in targets]
    slope, offset = _whole_imprints(log_probabilities(read.characters, imprint_temperature), pill_looks)
    reading = ReadingCalibration(
        imprint_temperature=imprint_temperature,
        shape_temperature=_temperature(lambda value: _shape_loss(read.shapes / value, pill_looks)),
        colour_temperature=_temperature(lambda value: _colour_loss(read.colours / value, pill_looks)),
        imprint_slope=slope,
        imprint_offset=offset,
        weight=weight,
        blank_weight=blank_weight,
        blank_scale=blank_scale,
        distance_weight=0.0,
        contradicts_from=1.0 - LEAST,  # never
    )
    joined, _, disagreements = join_reading(logits, np.zeros(len(logits)), read.characters, imprints, reading)
    disagreements = disagreements[(joined.argmax(axis=1) == targets) & ~blank]
    if not len(disagreements):
        return reading
    limit = float(np.quantile(disagreements, 1 - CONTRADICTED, method="higher")) + 1e-4
    return replace(reading, contradicts_from=limit)


def choose_distance_weight(seen: tuple[np.ndarray, np.ndarray], unseen: tuple[np.ndarray, np.ndarray]) -> float:
    """Factor of the disagreement with which the sum of both separates drugs never seen best from trained ones (AUROC);
    the smallest of equal ones, 0 where there are no pills of either.

    Args:
        seen, unseen: relative distances and disagreements of validation pills, (N,) each.
    """
    if not (len(seen[0]) and len(unseen[0])):
        return 0.0
    is_unseen = np.r_[np.zeros(len(seen[0])), np.ones(len(unseen[0]))]
    distances, apart = (np.r_[one, other] for one, other in zip(seen, unseen, strict=True))
    return max(DISTANCE_WEIGHTS, key=lambda weight: (roc_auc_score(is_unseen, distances + weight * apart), -weight))


def _temperature(loss: Callable[[float], float]) -> float:
    """Temperature of the least loss."""
    bounds = tuple(map(math.log, TEMPERATURES))
    found = minimize_scalar(
        lambda value: loss(math.exp(value)), bounds=bounds, method="bounded", options={"xatol": 1e-4}
    )
    return float(math.exp(found.x))


def _whole_imprints(scores: np.ndarray, looks: Sequence[Looks]) -> tuple[float, float]:
    """Slope and offset of `ReadingCalibration` (Platt scaling) from log-probabilities of characters, (N, PLACES, 37),
    and the looks of each pill's drug."""
    right = [imprint_of(codes) in drug.imprints for codes, drug in zip(scores.argmax(axis=2), looks, strict=True)]
    product = np.exp(scores.max(axis=2).sum(axis=1).astype(np.float64)).clip(LEAST_ODDS, 1 - LEAST_ODDS)
    odds, signs = np.log(product / (1 - product)), np.where(right, 1, -1)

    def loss(line: np.ndarray) -> float:
        return float(-log_expit(signs * (line[0] * odds + line[1])).mean())

    slope, offset = minimize(loss, x0=[1.0, 0.0], bounds=[(0.0, 5.0), (-5.0, 5.0)], method="L-BFGS-B").x
    return float(slope), float(offset)


def _imprint_loss(characters: np.ndarray, temperature: float, codes: np.ndarray) -> float:
    """Negative log-likelihood of the imprint of either side; the side that is seen is not told.

    Args:
        characters: logits (N, PLACES, 37).
        temperature: that divides them.
        codes: of both sides of each pill, (N, 2, PLACES).
    """
    scores = log_probabilities(characters, temperature)
    of_sides = np.take_along_axis(scores[:, None], codes[..., None], axis=3)[..., 0].sum(axis=2)
    same = (codes[:, 0] == codes[:, 1]).all(axis=1)
    either = np.where(same, of_sides[:, 0], np.logaddexp(*of_sides.T))
    return float(-either.mean())


def _shape_loss(scaled: np.ndarray, looks: Sequence[Looks]) -> float:
    """Negative log-likelihood of the shapes that labels tell; 0 where they tell none."""
    rows = [row for row, drug in enumerate(looks) if drug.shape]
    truth = [SHAPE_NAMES.index(drug.shape) for drug in looks if drug.shape]
    return float(-log_softmax(scaled, axis=1)[rows, truth].mean()) if rows else 0.0


def _colour_loss(scaled: np.ndarray, looks: Sequence[Looks]) -> float:
    """Negative log-likelihood of the colours that labels tell, each for itself; 0 where they tell none."""
    rows = [row for row, drug in enumerate(looks) if drug.colours]
    signs = np.array([[1 if name in looks[row].colours else -1 for name in COLOUR_NAMES] for row in rows])
    return float(-log_expit(scaled[rows] * signs).sum(axis=1).mean()) if rows else 0.0


def _weights(
    logits: np.ndarray, likelihoods: np.ndarray, targets: np.ndarray, blank: np.ndarray
) -> tuple[float, float, float]:
    """`weight`, `blank_weight` and `blank_scale` of `ReadingCalibration`.

    A scale of the logits and a factor of the log-likelihoods are fitted to all pills, and from there to those on which
    an imprint is read and to those on which none is (bool (N,)), held near by `_PULL`: of few pills, or none of a kind,
    those of all count.
    """
    whole = np.arange(len(targets))
    of_all = _scale_and_share(logits, likelihoods, targets, whole, np.log([1.0, 0.2]), pull=0.0)
    printed, plain = (
        np.exp(_scale_and_share(logits, likelihoods, targets, whole[kind], of_all, pull=_PULL))
        for kind in (~blank, blank)
    )
    weight, blank_weight = (float(min(share / scale, LARGEST_WEIGHT)) for scale, share in (printed, plain))
    return weight, blank_weight, float(plain[0] / printed[0])


def _scale_and_share(
    logits: np.ndarray,
    likelihoods: np.ndarray,
    targets: np.ndarray,
    pills: np.ndarray,
    start: np.ndarray,
    *,
    pull: float,
) -> np.ndarray:
    """Logarithms of the scale of the logits and of the log-likelihoods' factor that have the least loss: the negative
    log-likelihood of the pills at these places, and `pull` times the squared distance from `start`."""

    def loss(parameters: np.ndarray) -> float:
        scale, share = np.exp(parameters)

        def scores(rows: slice) -> np.ndarray:
            return log_softmax(logits[pills[rows]] * scale + likelihoods[pills[rows]] * share, axis=1)

        return float(pull * ((parameters - start) ** 2).sum() - of_targets(scores, targets[pills]).sum())

    bounds = [np.log([0.05, 20.0]), np.log([1e-3, 20.0])]
    return np.asarray(minimize(loss, x0=start, bounds=bounds, method="L-BFGS-B").x)
