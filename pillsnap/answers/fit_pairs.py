"""Thresholds of answers to two photographs of one pill, chosen on pairs of validation photographs."""

from dataclasses import dataclass, replace

import numpy as np

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, lower_bound, verdicts
from pillsnap.answers.photo_pairs import (
    Photographed,
    choose_pairs,
    least_agreement,
    pair_agreements,
    pair_predictions,
    unlike_pairs,
)
from pillsnap.answers.thresholds import choose_thresholds, with_plain_limits
from pillsnap.config.config import Answers


@dataclass(frozen=True)
class Together:
    """Thresholds of answers to two photographs, and the predictions of validation pairs that they are measured on."""

    calibration: Calibration
    pairs: Predictions
    unseen_pairs: Predictions


def fit_pairs(
    seen: Photographed, unseen: Photographed, plain: np.ndarray, temperature: float, settings: Answers
) -> Together | None:
    """Choose thresholds of pairs, as those of one photograph are chosen, though all may be `known`, and the least
    agreement of a `known` answer; where what is left cannot show the promised precision, no answer is `known`.

    Args:
        seen, unseen: validation pills of trained and of held-out drugs.
        plain: Mahalanobis distances of `seen` to the nearest drug, float (N,).
        temperature: of answers to one photograph.
        settings: the promises.

    Returns:
        `None` where no trained drug has two photographs.
    """
    places = [choose_pairs(one.image_ids, one.drugs) for one in (seen, unseen)]
    if not len(places[0]):
        return None

    def joined(calibration: Calibration | None = None) -> list[Predictions]:
        each = zip((seen, unseen), places, strict=True)
        return [pair_predictions(one.pills, both, temperature, calibration) for one, both in each]

    pairs, unseen_pairs = joined()
    chosen = choose_thresholds(pairs, unseen_pairs, settings.model_copy(update={"known": 1.0}))
    chosen = with_plain_limits(chosen, pairs, plain[places[0]].mean(axis=1))
    unlike, apart = _unlike(seen, unseen, temperature)
    same = pair_agreements(seen.pills, places[0], temperature)
    agreed = (
        agreement[np.array(verdicts(found, chosen)) == "known"] for found, agreement in ((pairs, same), (unlike, apart))
    )
    chosen = replace(chosen, agree_from=least_agreement(*agreed))
    pairs, unseen_pairs = joined(chosen)
    return Together(_as_promised(chosen, pairs, settings), pairs, unseen_pairs)


def _unlike(seen: Photographed, unseen: Photographed, temperature: float) -> tuple[Predictions, np.ndarray]:
    """Predictions and agreements of pairs of different drugs, held-out ones included."""
    pills, pairs = unlike_pairs(seen, unseen)
    return pair_predictions(pills, pairs, temperature), pair_agreements(pills, pairs, temperature)


def _as_promised(chosen: Calibration, pairs: Predictions, settings: Answers) -> Calibration:
    known = np.array(verdicts(pairs, chosen)) == "known"
    right = int((pairs.logits.argmax(axis=1) == pairs.targets)[known].sum())
    shown = lower_bound(right, int(known.sum()), settings.confidence) >= settings.precision
    return chosen if shown else replace(chosen, known_from=None)
