"""Metrics of the test split: detector, classifier and whole answers."""

from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score

from pillsnap.answers.answer import Mode
from pillsnap.answers.calibration_metrics import Predictions
from pillsnap.pictures.boxes import match_boxes


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
    """Labels, detections, answer and logits of one test photograph.

    Attributes:
        domain: of the manifest.
        targets: class index of each labelled pill, int (N,); -1 for a drug that the classifier was not trained on:
            the detector should find such a pill, and no name for it is right.
        label_logits: of the labelled boxes' crops, (N, classes).
        answered: number of detections that the answer keeps.
        answer_logits, answer_distances: of the answer's crops, (answered, classes) and (answered,).
    """

    domain: Mode
    targets: np.ndarray
    label_logits: np.ndarray
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
    truth, found = _coco(results)
    counts = {"photos": len(results), "pills": len(truth.anns)}
    if not truth.anns or not len(found):
        value = 0.0 if truth.anns else None
        return {"map50": value, "map50_95": value, **counts, "pr_curve": []}
    with redirect_stdout(StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][0, :, 0, 0, -1]
    curve = [
        {"recall": round(float(recall), 2), "precision": round(float(value), 6)}
        for recall, value in zip(evaluation.params.recThrs, precision, strict=True)
    ]
    return {
        "map50": float(evaluation.stats[1]),
        "map50_95": float(evaluation.stats[0]),
        **counts,
        "pr_curve": curve,
    }


def background_metrics(backgrounds: Sequence[DetectorResult], min_score: float) -> dict[str, Any]:
    """Count what is found on photographs without a pill: `backgrounds` with their number, and that of those with a box
    and of the boxes, from `min_score` on. Empty where there are none."""
    if not backgrounds:
        return {}
    boxes = [int((result.found_scores >= min_score).sum()) for result in backgrounds]
    counts = {"photos": len(boxes), "with_boxes": sum(map(bool, boxes)), "boxes": sum(boxes)}
    return {"backgrounds": counts}


def _coco(results: Sequence[DetectorResult]) -> tuple[COCO, np.ndarray]:
    truth = COCO()
    annotations = [
        {"image_id": number, "category_id": 1, "bbox": list(box), "area": float(box[2] * box[3]), "iscrowd": 0}
        for number, result in enumerate(results)
        for box in result.boxes.tolist()
    ]
    truth.dataset = {
        "info": {},
        "images": [{"id": number, "width": r.width, "height": r.height} for number, r in enumerate(results)],
        "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
        "categories": [{"id": 1, "name": "pill"}],
    }
    with redirect_stdout(StringIO()):
        truth.createIndex()
    rows = [
        [number, *box, score, 1]
        for number, result in enumerate(results)
        for box, score in zip(result.found_boxes.tolist(), result.found_scores.tolist(), strict=True)
    ]
    return truth, np.array(rows, float).reshape(-1, 7)


def classifier_metrics(results: Sequence[PhotoResult]) -> dict[str, Any]:
    """top-1, top-5 and macro-F1 on labelled boxes of drugs with a class; raises `ValueError` without any."""
    logits, targets = labelled_pills(results)
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    return {
        "top1": float((ranked[:, 0] == targets).mean()),
        "top5": float((ranked == targets[:, None]).any(axis=1).mean()),
        "macro_f1": float(f1_score(targets, ranked[:, 0], labels=np.unique(targets), average="macro", zero_division=0)),
        "pills": len(targets),
    }


def labelled_pills(results: Sequence[PhotoResult]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, classes) and targets (N,) of the labelled boxes whose drug has a class."""
    logits = np.concatenate([result.label_logits for result in results])
    targets = np.concatenate([result.targets for result in results])
    return logits[targets >= 0], targets[targets >= 0]


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
        for target, row in zip(result.targets, result.label_logits, strict=True):
            if target >= 0 and int(row.argmax()) != target:
                counts[int(target), int(row.argmax())] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(true, predicted, count) for (true, predicted), count in ordered[:at_most]]
