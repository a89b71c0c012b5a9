"""Matching of labels and detections: detections without label, labels without detection."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.data import Audit
from pillsnap.pictures.boxes import iou_matrix, match_boxes
from pillsnap.sources.aihub_name import counted_drugs
from pillsnap.tables.files import make_table
from pillsnap.tables.schemas import FINDINGS, MANIFEST

DETECTION, LABEL = "detection_without_label", "label_without_detection"
"""The two kinds of findings."""
BACKGROUND = "background"
"""The domain of a photograph that is labelled as showing no pill."""

_COPIED = ("image_id", "archive", "member", "split", "domain", "fully_labelled")

Row = dict[str, Any]


def rows_without_label(backgrounds: pd.DataFrame) -> pd.DataFrame:
    """Return backgrounds, schema `MANIFEST_BACKGROUNDS`, as rows beside those of pills, without label and box."""
    no_label = dict.fromkeys(("label_member", "k_code", "edi_codes", "drug_name"), "") | {"class_index": -1}
    rows = backgrounds.assign(domain=BACKGROUND, fully_labelled=True, **no_label, **dict.fromkeys("xywh", 0.0))
    return rows[list(MANIFEST.columns)]


def find_findings(pills: pd.DataFrame, detections: pd.DataFrame, settings: Audit, *, min_iou: float) -> pd.DataFrame:
    """Compare labels and detections photograph by photograph.

    A detection has no label where its score is at least `settings.min_score` and its IoU with every label at most
    `settings.max_iou`; of several that overlap each other more than that only the best is listed. A label has no
    detection where none of any score matches it: boxes are matched one to one, so that of two labels on one pill the
    worse one is listed.

    First come detections in photographs that are known to be partly labelled, best score first: there, pills without
    label are certain. Then all others by how clear the contradiction is, a detection by its score and a label by how
    little the nearest detection overlaps it.

    Args:
        pills: manifest rows, schema `MANIFEST`, and backgrounds as `rows_without_label` has them.
        detections: schema `DETECTIONS`.
        settings: thresholds.
        min_iou: a detected box counts as a labelled pill's from this IoU on.

    Returns:
        schema `FINDINGS`, without pictures.
    """
    label_boxes, boxes = (table[list("xywh")].to_numpy(float) for table in (pills, detections))
    scores = detections["score"].to_numpy(float)
    labelled = (pills["label_member"] != "").to_numpy()
    seen = detections.groupby("image_id").indices
    rows: list[Row] = []
    for image_id, places in pills.groupby("image_id").indices.items():
        own, labels = seen.get(image_id, np.zeros(0, int)), places[labelled[places]]
        overlaps = np.minimum(1, iou_matrix(boxes[own], label_boxes[labels]))
        for number in _unlabelled(boxes[own], scores[own], overlaps, settings):
            best = overlaps[number].max(initial=0)
            rows.append(_detection(pills.iloc[places], boxes[own][number], scores[own][number], best))
        for number in _missed(boxes[own], label_boxes[labels], min_iou):
            rows.append(_label(pills.iloc[labels[number]], overlaps[:, number], scores[own]))
    rows.sort(key=_place)
    return make_table(rows, FINDINGS)


def _place(row: Row) -> tuple[Any, ...]:
    certain = row["kind"] == DETECTION and not row["fully_labelled"]
    clear = row["score"] if row["kind"] == DETECTION else 1 - row["best_iou"]
    return not certain, -clear, row["image_id"], row["kind"], row["x"], row["y"]


def _detection(labelled: pd.DataFrame, box: np.ndarray, score: float, best_iou: float) -> Row:
    suggested = ",".join(missing_k_codes(labelled))
    named = {"kind": DETECTION, "label_member": "", "k_code": "", "suggested_k_codes": suggested}
    return _row(labelled.iloc[0], box, score, best_iou) | named


def _label(pill: pd.Series, overlaps: np.ndarray, scores: np.ndarray) -> Row:
    best_iou = overlaps.max(initial=0)
    score = scores[overlaps.argmax()] if best_iou > 0 else None
    named = {"kind": LABEL, "label_member": pill["label_member"], "k_code": pill["k_code"], "suggested_k_codes": ""}
    return _row(pill, pill[list("xywh")].to_numpy(float), score, best_iou) | named


def _row(photo: pd.Series, box: np.ndarray, score: float | None, best_iou: float) -> Row:
    place = dict(zip("xywh", rounded(box), strict=True))
    figures = {"score": None if score is None else round(float(score), 4), "best_iou": round(float(best_iou), 4)}
    return {name: photo[name] for name in _COPIED} | place | figures | {"picture": ""}


def rounded(box: Sequence[float] | np.ndarray) -> list[float]:
    """x, y, w, h to a hundredth of a pixel, which is more than a box is worth; sizes stay above 0."""
    x, y, w, h = (round(float(value), 2) for value in box)
    return [x, y, max(w, 0.01), max(h, 0.01)]


def _unlabelled(boxes: np.ndarray, scores: np.ndarray, overlaps: np.ndarray, settings: Audit) -> list[int]:
    """Indices of confident detections that overlap no label, nor a better one of themselves."""
    candidates = np.flatnonzero((scores >= settings.min_score) & (overlaps.max(axis=1, initial=0) <= settings.max_iou))
    kept: list[int] = []
    for number in candidates[np.argsort(-scores[candidates], kind="stable")].tolist():
        if iou_matrix(boxes[number], boxes[kept]).max(initial=0) <= settings.max_iou:
            kept.append(number)
    return kept


def _missed(boxes: np.ndarray, labels: np.ndarray, min_iou: float) -> list[int]:
    """Indices of labels to which no detection is matched."""
    matched = {label for _, label in match_boxes(boxes, labels, min_iou=min_iou)}
    return sorted(set(range(len(labels))) - matched)


def missing_k_codes(labelled: pd.DataFrame) -> list[str]:
    """K-codes that the name of a partly labelled combo counts and none of its labels has; else nothing is suggested.

    Args:
        labelled: the photograph's manifest rows.
    """
    photo = labelled.iloc[0]
    if photo["fully_labelled"] or photo["domain"] != "combo":
        return []
    counted = Counter(counted_drugs(PurePosixPath(photo["member"]).stem))
    return sorted((counted - Counter(labelled["k_code"])).elements())
