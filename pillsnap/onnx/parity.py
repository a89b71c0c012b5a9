"""Parity on validation: ONNX Runtime against PyTorch, the fused graph against its steps, each precision's accuracy.

Each network sees each photograph and each crop once; its outputs serve every comparison. ONNX Runtime works on as many
photographs at a time as there are threads, each with one thread: the same bits as one after the other, sooner.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from pillsnap.answers.accuracy import DetectorResult, detector_metrics
from pillsnap.answers.agreement import agreement
from pillsnap.answers.answer import Answer, Mode
from pillsnap.answers.calibration import Calibration
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.answers.naming import Imprints, held_back, is_blank, join_reading
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import PillSnap
from pillsnap.predict.nms import Detections, non_max_suppression
from pillsnap.predict.sessions import open_session
from pillsnap.predict.unfused import SeparateSteps

BATCH = 8
"""Photographs in a batch of PyTorch, which runs them three times as fast as one by one; crops in a batch of either."""


@dataclass(frozen=True)
class Photo:
    """A validation photograph: its id, uint8 (H, W, 3), labelled boxes (N, 4) in its pixels, whether all are."""

    image_id: str
    picture: np.ndarray
    boxes: np.ndarray
    fully_labelled: bool
    domain: Mode


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


def compare_detectors(
    graph: nn.Module, models: Mapping[str, Path], photos: Sequence[Photo], *, nms_iou: float, pool: Executor
) -> tuple[dict[str, Any], dict[str, list[Detections]]]:
    """Run the detector in PyTorch and in ONNX Runtime, and compare them in FP32.

    Args:
        graph: the detector in PyTorch.
        models: ONNX detectors by precision, `fp32` among them.
        photos: of validation.
        nms_iou: IoU of non-maximum suppression.
        pool: threads for ONNX Runtime.

    Returns:
        largest differences of boxes (pixels of the input) and scores, and mAP of both; and the detections of each
        precision, photograph by photograph.
    """
    networks = {name: _Network(path, "boxes") for name, path in models.items()}
    size = networks["fp32"].size
    box_error = score_error = 0.0
    found: dict[str, list[Detections]] = {name: [] for name in ("pytorch", *models)}
    for batch in batches(photos):
        squares, *places = zip(*(letterbox(photo.picture, size) for photo in batch), strict=True)
        with torch.inference_mode():
            outputs = {"pytorch": graph(torch.from_numpy(np.stack(squares))).numpy()}
        for name, network in networks.items():
            outputs[name] = np.concatenate([boxes for (boxes,) in pool.map(network, (one[None] for one in squares))])
        errors = np.abs(outputs["pytorch"] - outputs["fp32"])
        box_error = max(box_error, float(errors[..., :4].max()))
        score_error = max(score_error, float(errors[..., 4].max()))
        for name, each in outputs.items():
            for output, photo, *place in zip(each, batch, *places, strict=True):
                found[name].append(non_max_suppression(output, photo.picture, *place, nms_iou=nms_iou))
    report = {
        "photos": len(photos),
        "max_box_error_px": box_error,
        "max_score_error": score_error,
        "map50": {"pytorch": map50(photos, found.pop("pytorch")), "onnx": map50(photos, found["fp32"])},
    }
    return report, found


def map50(photos: Sequence[Photo], found: Sequence[Detections]) -> float | None:
    """mAP@0.5 of detections; `None` where no photograph is fully labelled."""
    detected = [
        DetectorResult(
            image_id=photo.image_id,
            fully_labelled=photo.fully_labelled,
            width=photo.picture.shape[1],
            height=photo.picture.shape[0],
            boxes=photo.boxes,
            found_boxes=detections.boxes,
            found_scores=detections.scores,
        )
        for photo, detections in zip(photos, found, strict=True)
    ]
    return detector_metrics(detected)["map50"]


def compare_classifiers(
    graph: nn.Module,
    space: DrugSpace,
    imprints: Imprints,
    calibration: Calibration,
    models: Mapping[str, Path],
    crops: np.ndarray,
    targets: np.ndarray,
    *,
    pool: Executor,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Run the classifier in PyTorch and in ONNX Runtime, and compare them in FP32.

    Args:
        graph: the classifier in PyTorch, with the reader if the calibration has a reading.
        space: gives the features' distances.
        imprints, calibration: by which the two are joined.
        models: ONNX classifiers by precision, `fp32` among them.
        crops: uint8 (N, S, S, 3).
        targets: class indices (N,).
        pool: threads for ONNX Runtime.

    Returns:
        `logit_error`, largest differences of distances and relative distances, and top-1 of both; and top-1 of
        each precision.
    """
    with torch.inference_mode():
        outputs = [[tensor.numpy() for tensor in graph(torch.from_numpy(batch))] for batch in batches(crops)]
    ours, features, *read = (np.concatenate(each) for each in zip(*outputs, strict=True))
    near = space.relative_distances(features)
    if calibration.reading:
        ours, near, apart = join_reading(ours, near, read[0], imprints, calibration.reading)
        near = held_back(near, apart, is_blank(read[0]), calibration)
    theirs = {}
    for name, path in models.items():
        results = pool.map(_Network(path, "logits", "distances", "relative_distances"), batches(crops))
        theirs[name] = tuple(np.concatenate(each) for each in zip(*results, strict=True))
    logits, distances, relative = theirs["fp32"]
    top1 = {name: float((each.argmax(1) == targets).mean()) for name, (each, *_) in theirs.items()}
    report = {
        "crops": len(crops),
        "max_logit_error": logit_error(ours, logits),
        "max_distance_error": float(np.abs(space.distances(features) - distances).max()),
        "max_relative_distance_error": float(np.abs(near - relative).max()),
        "same_top1": float((ours.argmax(1) == logits.argmax(1)).mean()),
        "top1": {"pytorch": float((ours.argmax(1) == targets).mean()), "onnx": top1["fp32"]},
    }
    return report, top1


def logit_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of two arrays of logits, in parts of the logit where that is above 1 in size: an imprint that
    counts much adds up to hundreds, which float32 rounds more coarsely."""
    return float((np.abs(ours - theirs) / np.maximum(1, np.abs(ours))).max())


def compare_fused(
    folder: Path, photos: Sequence[Photo], found: Sequence[Detections], *, pool: Executor
) -> dict[str, Any]:
    """Compare the fused graph with its steps one by one, on every photograph in its own mode.

    Args:
        folder: of the exported models.
        photos: of validation.
        found: what `detector.onnx`, the first of the steps, finds in each.
        pool: threads for ONNX Runtime.

    Returns:
        see `pillsnap.answers.agreement`.
    """
    fused = PillSnap.load(folder, threads=1, device="cpu")
    steps = SeparateSteps.load(folder, threads=1, device="cpu")

    def both(photo: Photo, detections: Detections) -> tuple[Answer, Answer]:
        kept = steps.choose(detections, photo.domain)
        outputs = steps.classify(steps.cut(photo.picture, kept.boxes))
        size = photo.picture.shape[1], photo.picture.shape[0]
        return fused.identify(photo.picture, photo.domain), steps.answer(size, photo.domain, kept, *outputs)

    return agreement(pool.map(both, photos, found))


def batches(items: Any, size: int = BATCH) -> Iterator[Any]:
    """Slices of a sequence or an array, so many items at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


class _Network:
    """An ONNX network on the CPU: from its input, uint8 (N, size, size, 3), to some of its outputs."""

    def __init__(self, path: Path, *outputs: str) -> None:
        self._session = open_session(path, threads=1, device="cpu")
        self._outputs = list(outputs)
        (taken,) = self._session.get_inputs()
        self._input, self.size = taken.name, taken.shape[1]

    def __call__(self, pictures: np.ndarray) -> list[np.ndarray]:
        return self._session.run(self._outputs, {self._input: pictures})
