"""Answers to two photographs of one pill, measured beside those to one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pillsnap.answers.accuracy import PhotoResult, answer_predictions
from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, expected_calibration_error, verdict_metrics
from pillsnap.answers.photo_pairs import Photographed, choose_pairs, pair_predictions, unlike_pairs


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
    drugs = results[0].answer_logits.shape[1] if results else 0
    usable, strangers = (_one_pill(part, drug_of, drugs, min_iou, min_score) for part in (results, unseen))
    pairs, unseen_pairs = (_pairs(photographed, calibration) for photographed in (usable, strangers))
    if not len(pairs):
        return None
    return {
        "photos": sum(result.domain == "single" for result in results),
        "usable": len(usable.pills),
        "pairs": len(pairs),
        "calibrated": calibration.pairs is not None,
        "one": _figures(usable.pills, strangers.pills, calibration),
        "both": _figures(pairs, unseen_pairs, calibration.of_pairs),
        "unlike": _unlike(usable, strangers, calibration),
    }


def _one_pill(
    results: Sequence[PhotoResult], drug_of: Mapping[str, str], drugs: int, min_iou: float, min_score: float
) -> Photographed:
    """Predictions of the photographs of single pills in which exactly one pill is found."""
    alone = [
        result
        for result in results
        if result.domain == "single"
        and result.answered == 1
        and (result.found_scores > min_score).sum() <= 1
        and (result.fully_labelled or result.matches(min_iou))
    ]
    image_ids = [result.image_id for result in alone]
    pills = answer_predictions(alone, min_iou) if alone else Predictions.empty(drugs)
    return Photographed(pills, image_ids, [drug_of[image_id] for image_id in image_ids])


def _pairs(found: Photographed, calibration: Calibration) -> Predictions:
    """Predictions of pairs of one drug's photographs."""
    pairs = choose_pairs(found.image_ids, found.drugs)
    return pair_predictions(found.pills, pairs, calibration.temperature, calibration.of_pairs)


def _unlike(usable: Photographed, strangers: Photographed, calibration: Calibration) -> dict[str, Any]:
    """Figures of pairs of different drugs' photographs."""
    pairs = pair_predictions(*unlike_pairs(usable, strangers), calibration.temperature, calibration.of_pairs)
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
