"""Find the box of the one pill that a photograph shows, with a trained detector."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.files import sha256_of
from pillsnap.hardware import torch_device
from pillsnap.pictures.box_finder import Box, BoxFinder
from pillsnap.pictures.boxes import iou
from pillsnap.sources.labels import SMALLEST_SIDE, LabelError

MIN_SCORE = 0.25
"""Least score of a box, ultralytics' own for predictions."""
SURER = 2.0
"""The box counts where its score is so many times the next one's: a speck is no second pill, and two pills are none."""
SAME_PILL = 0.5
"""IoU from which another box is of the same pill."""


def choose_box_finder(boxes: str, weights: Sequence[str], options: Mapping[str, Any] | None) -> BoxFinder | None:
    """Return what finds the boxes of an archive; `None` where its labels have them, and torch is not loaded then.

    Args:
        boxes: `label`, `whole` or `detector`.
        weights: the detector's file, where it is one that finds them.
        options: of `build_box_finder`, likewise.
    """
    if boxes == "detector":
        return build_box_finder(Path(weights[0]), **(options or {}))
    return BoxFinder() if boxes == "whole" else None


def build_box_finder(weights: Path, *, work: str | Path, image_size: int, device: str) -> BoxFinder:
    """Load a detector that finds boxes. It uses one thread, so that boxes are the same whatever the number of cores.

    Args:
        weights: `.pt` of ultralytics, whatever its classes, or safetensors of `train_detector`.
        work: folder for ultralytics' own settings.
        image_size: side of the detector's input in pixels.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        HardwareError: `cuda` is requested and does not work.
        WeightsError: `weights` holds no detector's weights.
    """
    from pillsnap.detector.inference import build_detect
    from pillsnap.detector.weights import prepare_ultralytics

    work = Path(work)
    prepare_ultralytics(work)
    detect = build_detect(
        weights,
        work=work,
        image_size=image_size,
        lowest_score=MIN_SCORE / SURER,
        nms_iou=SAME_PILL,
        device=torch_device(device),
        threads=1,
    )
    one_at_a_time = threading.Lock()

    def find(picture: np.ndarray) -> Box:
        with one_at_a_time:
            (found,) = detect([picture])
        return surest_box(found.tolist())

    facts = {"from": "detector", "weights": weights.name, "sha256": sha256_of(weights), "min_score": MIN_SCORE}
    return BoxFinder(find, facts)


def surest_box(found: Sequence[Sequence[float]]) -> Box:
    """Return the box of the surest detection.

    Args:
        found: x, y, w, h in pixels, and score of each detection.

    Raises:
        LabelError: `pill_not_found`: none reaches `MIN_SCORE`; `several_pills_found`: another box has more than half of
            its score; `bbox_too_small`.
    """
    ordered = sorted(found, key=lambda row: -row[4])
    if not ordered or ordered[0][4] < MIN_SCORE:
        raise LabelError("pill_not_found", f"best score {ordered[0][4]:.2f}" if ordered else "no detection")
    x, y, w, h, score = ordered[0]
    others = [row[4] for row in ordered[1:] if iou(row[:4], ordered[0][:4]) < SAME_PILL]
    if others and others[0] * SURER > score:
        raise LabelError("several_pills_found", f"scores {score:.2f} and {others[0]:.2f}")
    if min(w, h) < SMALLEST_SIDE:
        raise LabelError("bbox_too_small", f"{[x, y, w, h]}")
    return x, y, w, h
