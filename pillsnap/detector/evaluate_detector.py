"""Measure the trained detector on validation and on the test part; no classifier takes part."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.answers.accuracy import DetectorResult, background_metrics, detector_metrics
from pillsnap.answers.outcome_captions import outcome_captions
from pillsnap.detector.inference import Detect, build_detect, photos_and_boxes
from pillsnap.detector.operating_point import best_score, matched_at, operating_point
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import read_json, replacing_folder, write_json
from pillsnap.hardware import torch_device
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.pictures.draw import draw_boxes
from pillsnap.pictures.scale import shrink
from pillsnap.progress import progress
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST, MANIFEST_BACKGROUNDS
from pillsnap.workflow.provenance import describe_run

log = logging.getLogger(__name__)

SAMPLES = 12
"""Test photographs that are drawn."""


def evaluate_detector(
    *,
    manifest: dict[str, Path],
    backgrounds: Path,
    summary: Path,
    prepared: Sequence[Path],
    detector: Path,
    evaluation: Path,
    work: Path,
    image_size: int,
    lowest_score: float,
    nms_iou: float,
    min_iou: float,
    device: str,
    threads: int,
) -> None:
    """Run the detector over both parts. The score from which a box counts is chosen on validation: that of the best F1.

    Args:
        manifest: CSV by split (`val`, `test`), schema `MANIFEST`.
        backgrounds: photographs without a pill, schema `MANIFEST_BACKGROUNDS`; every box on them is wrong.
        summary: of `build_manifest`; archives whose boxes are no labels' are left out.
        prepared: folders of `prepare_archive`.
        detector: safetensors of `train_detector`.
        evaluation: folder, written whole: `evaluation.json`, and `samples/*.jpg`, test photographs with their boxes.
        work: folder for ultralytics' own settings.
        image_size: side of the detector's input in pixels.
        lowest_score: detections below it are left out.
        nms_iou: of their non-maximum suppression, the answers' own.
        min_iou: IoU from which a box counts as found.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of torch on the CPU; another number rounds otherwise.

    Raises:
        HardwareError: `cuda` is requested and does not work.
        WeightsError: `detector` holds no detector's weights.
    """
    prepare_ultralytics(work)
    used = torch_device(device)
    detect = build_detect(
        detector,
        work=work,
        image_size=image_size,
        lowest_score=lowest_score,
        nms_iou=nms_iou,
        device=used,
        threads=threads,
    )
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS)
    pills = {split: read_table(path, MANIFEST) for split, path in manifest.items()}
    unlabelled = read_json(summary).get("boxes", {})
    pills = {split: rows[~rows["archive"].isin(unlabelled)] for split, rows in pills.items()}
    see = partial(_results, prepared=prepared, detect=detect, threads=threads)
    results = {split: see(rows, title=split) for split, rows in pills.items()}
    without = {split: see(empty[empty["split"] == split], title=split) for split in manifest}
    score = best_score(results["val"], without["val"], min_iou=min_iou)
    parts = {split: _figures(results[split], without[split], score, min_iou) for split in manifest}
    with replacing_folder(evaluation) as folder:
        samples = _draw_samples(folder, results["test"], pills["test"], prepared, score, min_iou)
        resources = describe_run(used, threads) | {"model_bytes": {detector.name: detector.stat().st_size}}
        facts = {"score": score, "min_iou": min_iou, "parts": parts, "samples": samples, "resources": resources}
        write_json(folder / "evaluation.json", facts)
    log.info("test mAP@0.5 %s, score %.2f", parts["test"]["map50"], score)


def _results(
    rows: pd.DataFrame, *, prepared: Sequence[Path], detect: Detect, threads: int, title: str
) -> list[DetectorResult]:
    """Detect pills on photographs by their manifest rows, boxes in pixels of the raw photograph."""
    found = photos_and_boxes(rows, prepared, detect, threads=threads)
    photos = progress(found, total=rows["image_id"].nunique(), title=title)
    return [_result(picture, pills, found) for picture, pills, found in photos]


def _result(picture: np.ndarray, pills: pd.DataFrame, found: np.ndarray) -> DetectorResult:
    """Labels and detections of a photograph; `pills` of a background, which has no label, are of the other schema."""
    first = pills.iloc[0]
    scale = first["width"] / picture.shape[1], first["height"] / picture.shape[0]
    labelled = "fully_labelled" in pills
    return DetectorResult(
        image_id=first["image_id"],
        fully_labelled=bool(first["fully_labelled"]) if labelled else True,
        width=int(first["width"]),
        height=int(first["height"]),
        boxes=pills[["x", "y", "w", "h"]].to_numpy(float) if labelled else np.zeros((0, 4)),
        found_boxes=found[:, :4] * np.array(scale * 2),
        found_scores=found[:, 4],
    )


def _figures(
    results: Sequence[DetectorResult], without: Sequence[DetectorResult], score: float, min_iou: float
) -> dict[str, Any]:
    return (
        detector_metrics([*results, *without])
        | operating_point([*results, *without], score, min_iou=min_iou)
        | background_metrics([int((result.found_scores >= score).sum()) for result in without])
    )


def _draw_samples(
    folder: Path,
    results: Sequence[DetectorResult],
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    score: float,
    min_iou: float,
) -> list[dict[str, Any]]:
    """Draw test photographs, chosen evenly, whether right or wrong; returns what each shows."""
    (folder / "samples").mkdir()
    chosen = {result.image_id: result for result in results[:: max(1, len(results) // SAMPLES)][:SAMPLES]}
    samples: list[dict[str, Any]] = []
    for data, rows in stored_photos(pills[pills["image_id"].isin(chosen)], prepared):
        result = chosen[rows["image_id"].iloc[0]]
        found = int((result.found_scores >= score).sum())
        matches = dict(matched_at(result, score, min_iou=min_iou))
        captions = outcome_captions(result, found, matches)
        name = f"samples/{len(samples):02d}.jpg"
        (folder / name).write_bytes(encode_jpeg(shrink([draw_boxes(decode_jpeg(data), captions)], 640), 85))
        counts = {"pills": len(result.boxes), "found": len(matches), "boxes": found}
        samples.append({"file": name, "image_id": result.image_id, **counts})
    return samples
