"""Answers to two photographs of one pill, measured beside those to one of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pillsnap.answers.accuracy import PhotoResult, answer_predictions
from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, expected_calibration_error, verdict_metrics
from pillsnap.answers.photo_pairs import choose_pairs, choose_unlike_pairs, pair_predictions


def same_pill_metrics(
    results: Sequence[PhotoResult],
    unseen: Sequence[PhotoResult],
    *,
    drug_of: Mapping[str, str],
    calibration: Calibration,
    min_iou: float,
    min_score: float,
) -> dict[str, Any] | None:
    """Measure answers to pairs of photographs of one drug, see `choose_pairs`, and to each photograph alone.

    Args:
        results: of the test part; photographs of single pills count.
        unseen: of drugs held out of training.
        drug_of: K-code by image_id.
        calibration: of the models.
        min_iou: IoU from which a box is the labelled pill.
        min_score: score above which a second box is a second pill; such a photograph is refused.

    Returns:
        `photos` of single pills, `usable`, those in which exactly one pill is found, `pairs` of these, `calibrated`,
        whether the models have thresholds for pairs; of `one` photograph and of `both`: `top1`, `ece`, the shares
        `known` and `unknown`, `known_right`, and `unseen_not_known` with the number of `unseen` answers behind it.
        Of `unlike` pairs, photographs of different drugs: their number (`pairs`) and the share `known` of them. `None`
        where there is no pair of one drug.
    """
    singles = [result for result in results if result.domain == "single"]
    usable = _one_pill(singles, min_iou, min_score)
    strangers = _one_pill([result for result in unseen if result.domain == "single"], min_iou, min_score)
    drugs = len(usable[0][1].logits[0]) if usable else 0
    pills, pairs = _predictions(usable, drug_of, drugs, calibration)
    if not len(pairs):
        return None
    unseen_pills, unseen_pairs = _predictions(strangers, drug_of, drugs, calibration)
    return {
        "photos": len(singles),
        "usable": len(usable),
        "pairs": len(pairs),
        "calibrated": calibration.pairs is not None,
        "one": _figures(pills, unseen_pills, calibration),
        "both": _figures(pairs, unseen_pairs, calibration.of_pairs),
        "unlike": _unlike([*usable, *strangers], drug_of, drugs, calibration),
    }


def _one_pill(results: Sequence[PhotoResult], min_iou: float, min_score: float) -> list[tuple[str, Predictions]]:
    """image_id and prediction of the photographs in which exactly one pill is found."""
    alone = [result for result in results if result.answered == 1 and (result.found_scores > min_score).sum() <= 1]
    found = [(result.image_id, answer_predictions([result], min_iou)) for result in alone]
    return [(image_id, pill) for image_id, pill in found if len(pill)]


def _predictions(
    found: Sequence[tuple[str, Predictions]],
    drug_of: Mapping[str, str],
    drugs: int,
    calibration: Calibration,
    choose: Callable[[Sequence[str], Sequence[str]], np.ndarray] = choose_pairs,
) -> tuple[Predictions, Predictions]:
    """Predictions of the photographs, and of their pairs."""
    if not found:
        return Predictions.empty(drugs), Predictions.empty(drugs)
    each = [(pill.logits, pill.distances, pill.targets) for _, pill in found]
    pills = Predictions(*(np.concatenate(part) for part in zip(*each, strict=True)))
    image_ids = [image_id for image_id, _ in found]
    pairs = choose(image_ids, [drug_of[image_id] for image_id in image_ids])
    return pills, pair_predictions(pills, pairs, calibration.temperature, calibration.of_pairs)


def _unlike(
    found: Sequence[tuple[str, Predictions]], drug_of: Mapping[str, str], drugs: int, calibration: Calibration
) -> dict[str, Any]:
    """Figures of pairs of different drugs' photographs."""
    _, pairs = _predictions(found, drug_of, drugs, calibration, choose_unlike_pairs)
    known = verdict_metrics(pairs, calibration.of_pairs)["known"]["share"] if len(pairs) else None
    return {"pairs": len(pairs), "known": known}


def _figures(pills: Predictions, unseen: Predictions, calibration: Calibration) -> dict[str, Any]:
    right = pills.logits.argmax(axis=1) == pills.targets
    verdicts = verdict_metrics(pills, calibration)
    strange = verdict_metrics(unseen, calibration)["known"]["share"] if len(unseen) else None
    return {
        "top1": float(right.mean()),
        "ece": expected_calibration_error(calibration.confidences(pills.logits), right),
        "known": verdicts["known"]["share"],
        "known_right": verdicts["known"]["right"],
        "unknown": verdicts["unknown"]["share"],
        "unseen": len(unseen),
        "unseen_not_known": None if strange is None else 1 - strange,
    }
