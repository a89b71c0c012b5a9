"""Parity on validation: ONNX Runtime against PyTorch, the fused graph against its steps, each precision's accuracy.

Each network sees each photograph and each crop once; its outputs serve every comparison. On the CPU, ONNX Runtime works
on as many photographs at a time as there are threads, each with one thread: the same bits as one after the other,
sooner. On a GPU it computes batches; the networks in INT8, which are for CPUs, stay on the CPU.
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
from pillsnap.hardware import torch_device
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.onnx.logit_error import logit_error
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import PillSnap
from pillsnap.predict.nms import Detections, non_max_suppression
from pillsnap.predict.sessions import device_of, open_session, run_batch
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
    graph: nn.Module,
    models: Mapping[str, Path],
    photos: Sequence[Photo],
    *,
    nms_iou: float,
    device: str,
    pool: Executor,
) -> tuple[dict[str, Any], dict[str, list[Detections]]]:
    """Run the detector in PyTorch and in ONNX Runtime, and compare them in FP32.

    Args:
        graph: the detector in PyTorch.
        models: ONNX detectors by precision, `fp32` among them.
        photos: of validation.
        nms_iou: IoU of non-maximum suppression.
        device: `auto`, `cpu` or `cuda`.
        pool: threads for ONNX Runtime on the CPU.

    Returns:
        largest differences of boxes (pixels of the input) and scores, and mAP of both; and the detections of each
        precision, photograph by photograph.
    """
    networks = _networks(models, "boxes", device=device)
    size, on = networks["fp32"].size, torch_device(device)
    graph.to(on)
    box_error = score_error = 0.0
    found: dict[str, list[Detections]] = {name: [] for name in ("pytorch", *models)}
    for batch in batches(photos):
        squares, *places = zip(*(letterbox(photo.picture, size) for photo in batch), strict=True)
        pictures = np.stack(squares)
        with torch.inference_mode():
            outputs = {"pytorch": graph(torch.from_numpy(pictures).to(on)).cpu().numpy()}
        for name, network in networks.items():
            (outputs[name],) = network.of_all(pictures, pool, at_once=1)
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
    device: str,
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
        device: `auto`, `cpu` or `cuda`.
        pool: threads for ONNX Runtime on the CPU.

    Returns:
        `logit_error`, largest differences of distances and relative distances, and top-1 of both; and top-1 of
        each precision.
    """
    on = torch_device(device)
    graph.to(on)
    with torch.inference_mode():
        tensors = (graph(torch.from_numpy(batch).to(on)) for batch in batches(crops))
        outputs = [[tensor.cpu().numpy() for tensor in batch] for batch in tensors]
    ours, features, *read = (np.concatenate(each) for each in zip(*outputs, strict=True))
    near = space.relative_distances(features)
    if calibration.reading:
        ours, near, apart = join_reading(ours, near, read[0], imprints, calibration.reading)
        near = held_back(near, apart, is_blank(read[0]), calibration)
    networks = _networks(models, "logits", "distances", "relative_distances", device=device)
    theirs = {name: network.of_all(crops, pool, at_once=BATCH) for name, network in networks.items()}
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


def compare_fused(
    folder: Path, photos: Sequence[Photo], found: Sequence[Detections], *, device: str, pool: Executor
) -> dict[str, Any]:
    """Compare the fused graph with its steps one by one, on every photograph in its own mode.

    Args:
        folder: of the exported models.
        photos: of validation.
        found: what `detector.onnx`, the first of the steps, finds in each.
        device: `auto`, `cpu` or `cuda`.
        pool: threads that ask ONNX Runtime.

    Returns:
        see `pillsnap.answers.agreement`.
    """
    fused = PillSnap.load(folder, threads=1, device=device)
    steps = SeparateSteps.load(folder, threads=1, device=device)

    def both(photo: Photo, detections: Detections) -> tuple[Answer, Answer]:
        kept = steps.choose(detections, photo.domain)
        outputs = steps.classify(steps.cut(photo.picture, kept.boxes))
        size = photo.picture.shape[1], photo.picture.shape[0]
        with steps.turn:
            answer = fused.identify(photo.picture, photo.domain)
        return answer, steps.answer(size, photo.domain, kept, *outputs)

    return agreement(pool.map(both, photos, found))


def batches(items: Any, size: int = BATCH) -> Iterator[Any]:
    """Slices of a sequence or an array, so many items at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


class _Network:
    """An ONNX network: from its input, uint8 (N, size, size, 3), to some of its outputs."""

    def __init__(self, path: Path, outputs: Sequence[str], device: str) -> None:
        self._session = open_session(path, threads=1, device=device)
        self._outputs = list(outputs)
        (taken,) = self._session.get_inputs()
        self._input, self.size = taken.name, taken.shape[1]

    def of_all(self, pictures: np.ndarray, pool: Executor, *, at_once: int) -> list[np.ndarray]:
        """Each output for all pictures: on the CPU `at_once` in a batch, by threads; on a GPU `BATCH`."""
        if device_of(self._session) == "cuda":
            parts = [self._of_batch(batch) for batch in batches(pictures)]
        else:
            parts = list(pool.map(self._of_batch, batches(pictures, at_once)))
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _of_batch(self, pictures: np.ndarray) -> list[np.ndarray]:
        return run_batch(self._session, self._outputs, self._input, pictures)


def _networks(models: Mapping[str, Path], *outputs: str, device: str) -> dict[str, _Network]:
    """Networks by precision on the device that each is made for."""
    return {name: _Network(path, outputs, "cpu" if name == "int8" else device) for name, path in models.items()}
