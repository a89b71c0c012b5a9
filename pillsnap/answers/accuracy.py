"""Metrics of the test split: detector, classifier and whole answers."""

from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score

from pillsnap.answers.answer import Mode
from pillsnap.answers.calibration_metrics import Predictions
from pillsnap.pictures.boxes import match_boxes

GUESSES = 5
"""Classes of a labelled box that are kept: top-5 is the widest question."""


@dataclass(frozen=True)
class DetectorResult:
    """Labels and detections of one photograph.

    Attributes:
        image_id: of the manifest.
        fully_labelled: whether every pill of the photograph has a label.
        width, height: pixels.
        boxes: labelled boxes x, y, w, h, float (N, 4).
        found_boxes, found_scores: every detection, (M, 4) and (M,), best first.
    """

    image_id: str
    fully_labelled: bool
    width: int
    height: int
    boxes: np.ndarray
    found_boxes: np.ndarray
    found_scores: np.ndarray


@dataclass(frozen=True)
class PhotoResult(DetectorResult):
    """Labels, detections and answer of one test photograph.

    Of labelled boxes only the likeliest classes are kept: the logits of all test pills, thousands of drugs each, would
    take as much memory as those of the answers.

    Attributes:
        domain: of the manifest.
        targets: class index of each labelled pill, int (N,); -1 for a drug that the classifier was not trained on:
            the detector should find such a pill, and no name for it is right.
        label_guesses: likeliest classes of the labelled boxes' crops, most probable first, int (N, `GUESSES`), or as
            many as there are classes.
        answered: number of detections that the answer keeps.
        answer_logits, answer_distances: of the answer's crops, (answered, classes) and (answered,); the
            distances are relative ones.
    """

    domain: Mode
    targets: np.ndarray
    label_guesses: np.ndarray
    answered: int
    answer_logits: np.ndarray
    answer_distances: np.ndarray

    def matches(self, min_iou: float) -> list[tuple[int, int]]:
        """Pairs (index of the answer's box, index of the labelled pill) that match."""
        return match_boxes(self.found_boxes[: self.answered], self.boxes, min_iou=min_iou)


def detector_metrics(results: Sequence[DetectorResult]) -> dict[str, Any]:
    """mAP by pycocotools (COCO's definition) over fully labelled photographs.

    Returns:
        `map50`, `map50_95` (`None` where no photograph is fully labelled), `photos`,
        `pills`, and `pr_curve` at IoU 0.5: 101 recalls with their precisions, empty without detections.
    """
    results = [result for result in results if result.fully_labelled]
    counts = {"photos": len(results), "pills": sum(len(result.boxes) for result in results)}
    if not counts["pills"] or not sum(len(result.found_boxes) for result in results):
        value = 0.0 if counts["pills"] else None
        return {"map50": value, "map50_95": value, **counts, "pr_curve": []}
    precision = _precision(results, [(0.0, inf)])[0]
    recalls = np.linspace(0, 1, precision.shape[1])
    curve = [
        {"recall": round(float(recall), 2), "precision": round(float(value), 6)}
        for recall, value in zip(recalls, precision[0], strict=True)
    ]
    return {"map50": _mean(precision[0]), "map50_95": _mean(precision), **counts, "pr_curve": curve}


def background_metrics(boxes: Sequence[int]) -> dict[str, Any]:
    """Count what is found on photographs without a pill, by the number of boxes on each: `backgrounds` with their
    number, and that of those with a box and of the boxes. Empty where there are none."""
    if not boxes:
        return {}
    return {"backgrounds": {"photos": len(boxes), "with_boxes": sum(map(bool, boxes)), "boxes": sum(boxes)}}


def map_by_size(results: Sequence[DetectorResult], edges: Sequence[float]) -> list[dict[str, float | None]]:
    """mAP of fully labelled photographs by the pills' size: the longer side of a box as a share of the photograph's.

    As COCO's by area: labels of other sizes are ignored, and so are detections of other sizes that match none.

    Args:
        results: labels and detections.
        edges: limits of the sizes, ascending; a size begins at one and ends below the next.

    Returns:
        `map50` and `map50_95` of each size; `None` where it has no pill.
    """
    results = [result for result in results if result.fully_labelled]
    ranges = [(low, float(np.nextafter(high, low))) for low, high in pairwise(edges)]
    return [
        {"map50": _mean(of_size[0]), "map50_95": _mean(of_size)}
        if of_size.min() >= 0
        else {"map50": None, "map50_95": None}
        for of_size in _precision(results, ranges)
    ]


def _precision(results: Sequence[DetectorResult], ranges: Sequence[tuple[float, float]]) -> np.ndarray:
    """Precision by range of sizes, which takes in its limits, by IoU (0.5 to 0.95) and recall (101 values from 0 to 1):
    float (ranges, 10, 101), -1 where there is no pill."""
    labels = _coco(results, [(result.boxes, np.zeros(len(result.boxes))) for result in results])
    found = _coco(results, [(result.found_boxes, result.found_scores) for result in results])
    with redirect_stdout(StringIO()):
        evaluation = COCOeval(labels, found, "bbox")
        evaluation.params.areaRng = [list(one) for one in ranges]
        evaluation.params.areaRngLbl = [str(one) for one in ranges]
        evaluation.evaluate()
        evaluation.accumulate()
    return np.ascontiguousarray(np.moveaxis(evaluation.eval["precision"][:, :, 0, :, -1], 2, 0))


def _mean(precision: np.ndarray) -> float:
    return float(precision.ravel().mean())


def _coco(results: Sequence[DetectorResult], boxes: Sequence[tuple[np.ndarray, np.ndarray]]) -> COCO:
    """Boxes and their scores on each photograph in COCO's form; the place of an area is taken by `_size`."""
    annotations = [
        {"image_id": number, "category_id": 1, "bbox": box, "area": _size(box, result), "score": score, "iscrowd": 0}
        for number, (result, (of_photo, scores)) in enumerate(zip(results, boxes, strict=True))
        for box, score in zip(of_photo.tolist(), scores.tolist(), strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": number, "width": r.width, "height": r.height} for number, r in enumerate(results)],
        "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
        "categories": [{"id": 1, "name": "pill"}],
    }
    with redirect_stdout(StringIO()):
        coco.createIndex()
    return coco


def _size(box: Sequence[float], result: DetectorResult) -> float:
    """Longer side of a box as a share of the photograph's."""
    return max(box[2:]) / max(result.width, result.height)


def classifier_metrics(results: Sequence[PhotoResult]) -> dict[str, Any]:
    """top-1, top-5 and macro-F1 on labelled boxes of drugs with a class; raises `ValueError` without any."""
    guesses, targets = labelled_pills(results)
    best = guesses[:, 0]
    return {
        "top1": float((best == targets).mean()),
        "top5": float((guesses[:, :5] == targets[:, None]).any(axis=1).mean()),
        "macro_f1": float(f1_score(targets, best, labels=np.unique(targets), average="macro", zero_division=0)),
        "pills": len(targets),
    }


def likeliest(logits: np.ndarray) -> np.ndarray:
    """The `GUESSES` likeliest classes of each row of logits, float (N, classes), most probable first: int32."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :GUESSES].astype(np.int32)


def labelled_pills(results: Sequence[PhotoResult]) -> tuple[np.ndarray, np.ndarray]:
    """Likeliest classes, (N, `GUESSES`), and targets, (N,), of the labelled boxes whose drug has a class."""
    guesses = np.concatenate([result.label_guesses for result in results])
    targets = np.concatenate([result.targets for result in results])
    return guesses[targets >= 0], targets[targets >= 0]


def pipeline_metrics(results: Sequence[PhotoResult], min_iou: float) -> dict[str, Any]:
    """Whole answers by domain: pills found; of those with a class, found and named right; false positives a photo."""
    metrics: dict[str, Any] = {}
    for domain in ("single", "combo"):
        part = [result for result in results if result.domain == domain]
        pills = sum(len(result.boxes) for result in part)
        if not pills:
            continue
        found = right = 0
        for result in part:
            for answer, label in result.matches(min_iou):
                found += 1
                right += int(result.answer_logits[answer].argmax() == result.targets[label])
        metrics[f"{domain}_correct"] = right / sum(int((result.targets >= 0).sum()) for result in part)
        metrics[f"{domain}_found"] = found / pills
        complete = [result for result in part if result.fully_labelled]
        extra = sum(result.answered - len(result.matches(min_iou)) for result in complete)
        metrics[f"{domain}_extra_per_photo"] = extra / len(complete) if complete else None
    return metrics


def answer_predictions(results: Sequence[PhotoResult], min_iou: float) -> Predictions:
    """Predictions for every box of the answers; the target is -1 for a false positive, and for a drug without a class.

    Boxes without a label are left out where a photograph is not fully labelled: they may be pills.
    """
    logits, distances, targets = [], [], []
    for result in results:
        real = np.full(result.answered, -1)
        matches = result.matches(min_iou)
        for answer, label in matches:
            real[answer] = result.targets[label]
        kept = [answer for answer, _ in matches] if not result.fully_labelled else slice(None)
        logits.append(result.answer_logits[kept])
        distances.append(result.answer_distances[kept])
        targets.append(real[kept])
    return Predictions(*(np.concatenate(each) for each in (logits, distances, targets)))


def confused_pairs(results: Sequence[PhotoResult], at_most: int | None = None) -> list[tuple[int, int, int]]:
    """(true class, predicted class, count) of wrong top-1 predictions on labelled boxes, most frequent first."""
    counts: Counter[tuple[int, int]] = Counter()
    for result in results:
        for target, guess in zip(result.targets.tolist(), result.label_guesses[:, 0].tolist(), strict=True):
            if guess != target >= 0:
                counts[target, guess] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(true, predicted, count) for (true, predicted), count in ordered[:at_most]]
