"""ONNX Runtime against PyTorch, one graph against its steps, and what smaller networks cost: on validation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from pillsnap.answers.accuracy import DetectorResult, detector_metrics
from pillsnap.answers.agreement import agreement
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import PillSnap
from pillsnap.predict.nms import Detections, non_max_suppression
from pillsnap.predict.sessions import open_session
from pillsnap.predict.unfused import SeparateSteps


@dataclass(frozen=True)
class Photo:
    """A validation photograph: its id, uint8 (H, W, 3), labelled boxes (N, 4) in its pixels, whether all are."""

    image_id: str
    picture: np.ndarray
    boxes: np.ndarray
    fully_labelled: bool
    domain: str


def validation_photos(pills: pd.DataFrame, prepared: Sequence[Path], at_most: int) -> list[Photo]:
    """Photographs of the validation part as they are stored, evenly chosen where there are more than `at_most`."""
    images = list(dict.fromkeys(pills["image_id"]))
    chosen = pills[pills["image_id"].isin(set(images[:: -(-len(images) // at_most)]))]
    return [_photo(decode_jpeg(data), rows) for data, rows in stored_photos(chosen, prepared)]


def _photo(picture: np.ndarray, rows: pd.DataFrame) -> Photo:
    first = rows.iloc[0]
    scale = np.array([picture.shape[1] / first["width"], picture.shape[0] / first["height"]] * 2)
    boxes = rows[["x", "y", "w", "h"]].to_numpy(float) * scale
    return Photo(first["image_id"], picture, boxes, bool(first["fully_labelled"]), first["domain"])


def compare_detector(
    graph: nn.Module, path: Path, photos: Sequence[Photo], size: int, nms_iou: float
) -> dict[str, Any]:
    """Largest differences of boxes (pixels of the input) and scores, and mAP of both."""
    session = open_session(path, threads=torch.get_num_threads(), device="cpu")
    box_error = score_error = 0.0
    found: dict[str, list[Detections]] = {"pytorch": [], "onnx": []}
    for photo in photos:
        square, *place = letterbox(photo.picture, size)
        with torch.inference_mode():
            ours = graph(torch.from_numpy(square[None])).numpy()[0]
        theirs = session.run(None, {"pictures": square[None]})[0][0]
        box_error = max(box_error, float(np.abs(ours[:, :4] - theirs[:, :4]).max()))
        score_error = max(score_error, float(np.abs(ours[:, 4] - theirs[:, 4]).max()))
        for name, rows in (("pytorch", ours), ("onnx", theirs)):
            found[name].append(non_max_suppression(rows, photo.picture, *place, nms_iou=nms_iou))
    return {
        "photos": len(photos),
        "max_box_error_px": box_error,
        "max_score_error": score_error,
        "map50": {name: map50(photos, each) for name, each in found.items()},
    }


def map50(photos: Sequence[Photo], found: Sequence[Detections]) -> float | None:
    """mAP@0.5 of detections; `None` where no photograph is fully labelled."""
    detected = [
        DetectorResult(p.image_id, p.fully_labelled, *p.picture.shape[1::-1], p.boxes, each.boxes, each.scores)
        for p, each in zip(photos, found, strict=True)
    ]
    return detector_metrics(detected)["map50"]


def compare_classifier(
    graph: nn.Module, space: DrugSpace, path: Path, crops: np.ndarray, targets: np.ndarray
) -> dict[str, Any]:
    """Largest differences of logits and distances, and top-1 of both.

    Args:
        graph: gives logits and features.
        space: gives the features' distances.
        path: of the ONNX model.
        crops: uint8 (N, S, S, 3).
        targets: class indices (N,).
    """
    session = open_session(path, threads=torch.get_num_threads(), device="cpu")
    results = []
    with torch.inference_mode():
        for batch in batches(crops):
            logits, features = (tensor.numpy() for tensor in graph(torch.from_numpy(batch)))
            results.append((logits, space.distances(features), *session.run(["logits", "distances"], {"crops": batch})))
    ours, our_distances, theirs, their_distances = (np.concatenate(each) for each in zip(*results, strict=True))
    return {
        "crops": len(crops),
        "max_logit_error": float(np.abs(ours - theirs).max()),
        "max_distance_error": float(np.abs(our_distances - their_distances).max()),
        "same_top1": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        "top1": {
            "pytorch": float((ours.argmax(1) == targets).mean()),
            "onnx": float((theirs.argmax(1) == targets).mean()),
        },
    }


def compare_fused(folder: Path, photos: Sequence[Photo], threads: int) -> dict[str, Any]:
    """The fused graph against the three steps one by one, on every photograph in its own mode.

    Returns:
        see `pillsnap.answers.agreement`.
    """
    whole = PillSnap.load(folder, threads=threads, device="cpu")
    steps = SeparateSteps.load(folder, threads=threads, device="cpu")
    return agreement((whole.identify(p.picture, p.domain), steps.identify(p.picture, p.domain)) for p in photos)


def accuracy_of(
    detector: Path, classifier: Path, photos: Sequence[Photo], crops: np.ndarray, targets: np.ndarray, nms_iou: float
) -> dict[str, Any]:
    """mAP@0.5 on the photographs and top-1 on the crops of two ONNX networks, and their sizes in bytes."""
    threads = torch.get_num_threads()
    finder = open_session(detector, threads=threads, device="cpu")
    size = finder.get_inputs()[0].shape[1]
    found = []
    for photo in photos:
        square, *place = letterbox(photo.picture, size)
        rows = finder.run(None, {"pictures": square[None]})[0][0]
        found.append(non_max_suppression(rows, photo.picture, *place, nms_iou=nms_iou))
    namer = open_session(classifier, threads=threads, device="cpu")
    named = np.concatenate([namer.run(["logits"], {"crops": batch})[0].argmax(1) for batch in batches(crops)])
    return {
        "map50": map50(photos, found),
        "top1": float((named == targets).mean()),
        "detector_bytes": detector.stat().st_size,
        "classifier_bytes": classifier.stat().st_size,
    }


def batches(crops: np.ndarray, size: int = 8) -> Iterator[np.ndarray]:
    """The crops, so many at a time."""
    return (crops[start : start + size] for start in range(0, len(crops), size))
