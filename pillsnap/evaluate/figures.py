"""Figures of measured photographs: boxes by size and by number of pills, backgrounds, verdicts, drugs."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Any, get_args

import numpy as np

from pillsnap.answers.accuracy import (
    answer_predictions,
    background_metrics,
    classifier_metrics,
    detector_metrics,
    map_by_size,
    pipeline_metrics,
)
from pillsnap.answers.answer import Mode, Verdict
from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, verdict_metrics, verdicts
from pillsnap.evaluate.measured import MIN_IOU, Measured

SIZES = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, inf)
"""Limits of sizes: the longer side of a box as a share of the photograph's; a size ends below the next one."""
NUMBERS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, inf))
"""Fewest and most pills of each group of photographs."""


def figures(measured: Sequence[Measured], calibration: Calibration, mode: Mode) -> dict[str, Any]:
    """Return every figure as JSON values.

    A box without a label may be a pill where a photograph is labelled in part: such boxes are counted as `left_out`.
    Precision and mAP are of photographs that are labelled in full.

    Returns:
        `found`: of all photographs with labelled boxes, see `_rates`, also `partly_labelled`; `None`
        where no label has a box. `by_size` and `by_number`: the same by groups, from `least` to `most` (`None`: no
        limit). `backgrounds`: what is found on photographs without a pill, where there are some. `verdicts`: boxes of
        each verdict, see `_verdicts`. `drugs`: see `_drugs` and `_drugs_without_boxes`; `None` where the model knows
        none of the labels' drugs.
    """
    boxed = [one for one in measured if one.drug is None]
    if not boxed:
        drugs = _drugs_without_boxes(measured, calibration)
        return {"found": None, "by_size": [], "by_number": [], "verdicts": _verdicts(measured, calibration)} | drugs
    partly = [one for one in boxed if not one.result.fully_labelled]
    return {
        "found": _rates(boxed)
        | {"partly_labelled": {"photos": len(partly), "left_out": sum(one.unmatched for one in partly)}},
        "by_size": _by_size(boxed),
        "by_number": [
            {"least": least, "most": None if most == inf else most} | _rates(group)
            for least, most in NUMBERS
            if (group := [one for one in boxed if least <= one.pills <= most])
        ],
        **background_metrics([one.unmatched for one in boxed if not one.pills]),
        "verdicts": _verdicts(boxed, calibration),
        **_drugs(boxed, calibration, mode),
    }


def _rates(measured: Sequence[Measured]) -> dict[str, Any]:
    """Count photographs, labelled pills and those that are found, boxes that can be judged and those that are right;
    with their shares, `recall` and `precision`, and mAP. `None` stands for a share of nothing."""
    pills, found = sum(len(one.result.boxes) for one in measured), sum(len(one.matches) for one in measured)
    right = sum(len(one.matches) for one in measured if one.result.fully_labelled)
    average = detector_metrics([one.result for one in measured])
    return (
        {"photos": len(measured)}
        | _shares(pills, found, right + sum(one.false for one in measured), right)
        | {name: average[name] for name in ("map50", "map50_95")}
    )


def _shares(pills: int, found: int, boxes: int, right: int) -> dict[str, Any]:
    recall, precision = found / pills if pills else None, right / boxes if boxes else None
    return {"pills": pills, "found": found, "recall": recall, "boxes": boxes, "right": right, "precision": precision}


def _by_size(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Recall by the size of the labelled box, precision by that of the answer's box."""
    labels, found, boxes, right = (np.concatenate(parts) for parts in zip(*map(_sizes, measured), strict=True))
    average = map_by_size([one.result for one in measured], SIZES)
    rows = []
    for (least, most), mean in zip(pairwise(SIZES), average, strict=True):
        pills, shown = (labels >= least) & (labels < most), (boxes >= least) & (boxes < most)
        if pills.any() or shown.any():
            counts = [int(group.sum()) for group in (pills, pills & found, shown, shown & right)]
            rows.append({"least": least, "most": None if most == inf else most} | _shares(*counts) | mean)
    return rows


def _sizes(one: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sizes of a photograph's labelled boxes, and whether each is found; of the answer's boxes that can be judged, and
    whether each is right."""
    found = np.isin(np.arange(len(one.result.boxes)), list(one.matches.values()))
    matched = np.isin(np.arange(one.result.answered), list(one.matches))
    judged = slice(None) if one.result.fully_labelled else slice(0)
    return one.label_sizes, found, one.box_sizes[judged], matched[judged]


def _verdicts(measured: Sequence[Measured], calibration: Calibration) -> dict[str, dict[str, int]]:
    """Count the boxes of each verdict: all, and of those on photographs whose labels have boxes `on_pills`, on
    `no_pill`, and without a label where a photograph is labelled in part (`left_out`)."""
    counts = {verdict: dict.fromkeys(("boxes", "on_pills", "no_pill", "left_out"), 0) for verdict in get_args(Verdict)}
    for one in measured:
        given = Predictions(one.result.answer_logits, one.result.answer_distances, np.zeros(one.result.answered, int))
        for number, verdict in enumerate(verdicts(given, calibration)):
            counts[verdict]["boxes"] += 1
            if one.drug is None:
                unmatched = "no_pill" if one.result.fully_labelled else "left_out"
                counts[verdict]["on_pills" if number in one.matches else unmatched] += 1
    return counts


def _drugs(measured: Sequence[Measured], calibration: Calibration, mode: Mode) -> dict[str, Any]:
    """Return `drugs`: pills of drugs that the model knows, and of others; top-1 and top-5 on the labelled boxes, the
    share that is found and named right, and number and right share of the boxes by verdict."""
    results = [one.result for one in measured]
    targets = np.concatenate([result.targets for result in results])
    if not (targets >= 0).any():
        return {"drugs": None}
    named = classifier_metrics(results)
    return {
        "drugs": {
            "pills": named["pills"],
            "other_pills": int((targets < 0).sum()),
            "top1": named["top1"],
            "top5": named["top5"],
            "named_right": pipeline_metrics(results, MIN_IOU)[f"{mode}_correct"],
            "verdicts": _right_by_verdict(answer_predictions(results, MIN_IOU), calibration),
        }
    }


def _drugs_without_boxes(measured: Sequence[Measured], calibration: Calibration) -> dict[str, Any]:
    """Return `drugs` where each photograph shows one pill, in no labelled box: its best box is what is named.

    A photograph without a box counts as named wrong.
    """
    known = [one for one in measured if one.drug is not None and one.drug >= 0]
    if not known:
        return {"drugs": None}
    answered = [one for one in known if one.result.answered]
    best = Predictions.empty(known[0].result.answer_logits.shape[1])
    if answered:
        best = Predictions(
            np.stack([one.result.answer_logits[0] for one in answered]),
            np.array([one.result.answer_distances[0] for one in answered]),
            np.array([one.drug for one in answered]),
        )
    right = int((best.logits.argmax(axis=1) == best.targets).sum()) if answered else 0
    return {
        "drugs": {
            "pills": len(known),
            "other_pills": len(measured) - len(known),
            "without_box": len(known) - len(answered),
            "named_right": right / len(known),
            "verdicts": _right_by_verdict(best, calibration),
        }
    }


def _right_by_verdict(pills: Predictions, calibration: Calibration) -> dict[str, Any]:
    if not len(pills):
        return {verdict: {"pills": 0, "right": None} for verdict in get_args(Verdict)}
    rows = verdict_metrics(pills, calibration)
    return {verdict: {key: row[key] for key in ("pills", "right")} for verdict, row in rows.items()}
