"""Thresholds that keep the promises of the configuration on validation."""

import math
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from pillsnap.answers.calibration import Calibration, confidences, of_targets, probabilities
from pillsnap.answers.calibration_metrics import Predictions, lower_bound
from pillsnap.config.config import Answers

COVERAGES = (0.9, 0.95, 0.99)


def with_plain_limits(chosen: Calibration, pills: Predictions, plain: np.ndarray) -> Calibration:
    """Add limits of the plain distance, (N,), below which as many pills lie as below those of the relative one."""
    shares = ((pills.distances < limit).mean() for limit in (chosen.known_within, chosen.unknown_from))
    within, unknown_from = (float(np.quantile(plain, share)) for share in shares)
    return replace(chosen, plain_within=within, plain_from=unknown_from)


def choose_thresholds(
    seen: Predictions, unseen: Predictions, settings: Answers, blank: tuple[np.ndarray, np.ndarray] | None = None
) -> Calibration:
    """Choose temperature and thresholds that keep the promises of `settings` on these pills.

    Args:
        seen, unseen: pills of trained and of held-out drugs.
        settings: the promises.
        blank: of `seen` and `unseen`, whether no imprint is read, bool (N,): such pills get a limit of their own, and
            what `unseen_known` promises holds of those with and of those without an imprint. `None`: one limit for all.
    """
    temperature = fit_temperature(seen.logits, seen.targets)
    of_target = of_targets(lambda rows: probabilities(seen.logits[rows], temperature), seen.targets)
    unknown_from = float(np.float32(np.quantile(seen.distances, settings.kept, method="higher") + 1e-4))
    blanks = blank or (np.zeros(len(seen), bool), np.zeros(len(unseen), bool))
    known_from, *limits = _known_thresholds(seen, unseen, temperature, settings, blanks) or (None, 0.0, 0.0)
    # as float32, the type of the distances that are compared with them; below `unknown_from`, for `held_back`
    largest = float(np.nextafter(np.float32(unknown_from), np.float32(0)))
    known_within, blank_within = (float(np.float32(min(limit, largest))) for limit in limits)
    return Calibration(
        temperature=temperature,
        known_from=known_from,
        known_within=known_within,
        blank_within=blank_within if blank else None,
        unknown_from=unknown_from,
        set_from={
            str(coverage): _conformal_threshold(of_target, coverage)
            for coverage in sorted({*COVERAGES, settings.coverage})
        },
        precision=settings.precision,
        coverage=settings.coverage,
        kept=settings.kept,
    )


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Temperature of least negative log-likelihood, 0.05 to 20 (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        scaled = of_targets(lambda rows: log_softmax(logits[rows].astype(np.float64) / temperature, axis=1), targets)
        return float(-scaled.mean())

    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def _conformal_threshold(of_target: np.ndarray, coverage: float) -> float:
    """Probability from which a drug belongs to the prediction set (split conformal prediction, Sadinle et al. 2019).

    Args:
        of_target: probability of the right drug of each validation pill, (N,). A new pill from the same distribution
            has its right drug in the set with a probability of at least `coverage`. With too few pills the threshold
            is 0, and the set holds every drug.
        coverage: promised share of sets that hold the right drug.
    """
    place = math.ceil((len(of_target) + 1) * coverage)
    return float(np.sort(of_target)[::-1][place - 1]) if place <= len(of_target) else 0.0


def _known_thresholds(
    seen: Predictions,
    unseen: Predictions,
    temperature: float,
    settings: Answers,
    blank: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float, float] | None:
    """Least probability and largest distance of a `known` answer, and that of a pill which is `blank`; `None` where
    the precision cannot be shown.

    Probability and distance are loosened together, by one percentile of all pills and of those with an imprint at a
    time, and the blank pills' distance by one percentile of theirs, as far as it goes. (With an imprint, nearly every
    probability may be 1, which would leave out all blank pills.) Of those whose precision has a lower
    confidence bound (Clopper-Pearson) of at least the promised one, and that call few enough pills of held-out drugs
    `known`, among blank ones and among the others, those are chosen with which most pills are `known`, up to the share
    that may be.

    That share stands for drugs of which no pill is held out. Where each held-out drug of validation was left out in
    turn (five seeds of the built-in data, four drugs each), 1.8 % of its pills were `known` without such a limit, and
    90.3 % of the trained drugs'; at 0.90 it was 0.7 and 88.8 %, at 0.88 0.0 and 86.9 %, at 0.86 0.2 and 85.0 %.
    """
    confidence, unseen_confidence = (confidences(pills.logits, temperature) for pills in (seen, unseen))
    right = seen.logits.argmax(axis=1) == seen.targets
    is_blank, unseen_blank = blank if not blank[0].all() else map(np.zeros_like, blank)  # none to tell them from
    printed = seen.distances[~is_blank]
    most, chosen = 0, None

    def few(unseen_known: np.ndarray, group: np.ndarray) -> bool:
        return bool(unseen_known[group].sum() <= settings.unseen_known * group.sum())

    for percent in range(99, 0, -1) if len(seen) else ():
        least, within = float(np.percentile(confidence, 100 - percent)), float(np.percentile(printed, percent))
        sure, unseen_sure = confidence >= least, unseen_confidence >= least
        if not few(unseen_sure & (unseen.distances < within), ~unseen_blank):
            continue
        limits = np.percentile(seen.distances[is_blank], range(100, -1, -1)) if is_blank.any() else (within,)
        for limit in limits:
            of_blank = min(float(limit), within)
            known = sure & (seen.distances < np.where(is_blank, of_blank, within))
            if known.mean() > settings.known:
                continue
            if known.sum() <= most:
                break
            precise = lower_bound(int(right[known].sum()), int(known.sum()), settings.confidence) >= settings.precision
            if precise and few(unseen_sure & (unseen.distances < of_blank), unseen_blank):
                most, chosen = int(known.sum()), (least, within, of_blank)
                break
    return chosen
