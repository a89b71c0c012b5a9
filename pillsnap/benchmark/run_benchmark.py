"""Measure a stage on its test part: accuracy, latency, resources. The only reader of test photographs."""

import logging
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.answers.accuracy import (
    PhotoResult,
    classifier_metrics,
    confused_pairs,
    detector_metrics,
    answer_predictions,
    pipeline_metrics,
)
from pillsnap.answers.agreement import agreement
from pillsnap.answers.answer import Answer, Mode
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics
from pillsnap.benchmark.examples import named_pairs, write_examples
from pillsnap.benchmark.speed import MadeStage, measure_speed
from pillsnap.config.config import Benchmark
from pillsnap.files import read_json, write_json
from pillsnap.hardware import memory
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.model import PillSnap
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

log = logging.getLogger(__name__)

SHOWN_PAIRS = 8
"""Confused pairs that have pictures."""


def run_benchmark(
    *,
    models: Path,
    detector: Path,
    classifier: Path,
    manifest: Path,
    unseen: Path,
    summary: Path,
    prepared: Sequence[Path],
    accuracy: Path,
    latency: Path,
    resources: Path,
    metrics: Path,
    examples: Path,
    work: Path,
    settings: Benchmark,
    min_iou: float,
    device: str,
) -> None:
    """Answer every test photograph with the delivered ONNX models and measure.

    Args:
        models: folder of `export_onnx`.
        detector, classifier: `best.pt` and safetensors of the trainings, for the comparison with PyTorch.
        manifest: test manifest.
        unseen: manifest of drugs that were held out; its half for measuring is answered.
        summary: summary of `build_manifest`.
        prepared: folders of `prepare_archive`; test photographs lie there at native size.
        accuracy: written, JSON: every figure, precision-recall curve, accuracy by drug, confused pairs, trust.
        latency: written, JSON: percentiles by step, and side by side with other ways to an answer.
        resources: written, JSON: peak memory, model sizes, device, versions.
        metrics: written, JSON: the figures that DVC, the report and people compare.
        examples: folder, written whole: `samples/` and `confused/` with pictures, `index.json` says what they show.
        work: folder for ultralytics' own settings.
        settings: thresholds and counts.
        min_iou: IoU from which a box counts as found.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ModelError: the models cannot be used.
        HardwareError: `cuda` is asked for and does not work.
    """
    snap = PillSnap.load(models, threads=settings.threads, device=device)
    steps = SeparateSteps.load(models, threads=settings.threads, device=device)
    pills = read_table(manifest, MANIFEST)
    strange = read_table(unseen, MANIFEST)
    strange = strange[strange["split"] == "unseen_test"]
    results, same = _measure_all(snap, steps, pills, prepared, "test photographs")
    strangers, _ = _measure_all(snap, steps, strange, prepared, "drugs never seen")
    trust = calibration_metrics(
        answer_predictions(results, min_iou),
        answer_predictions(strangers, min_iou) if strangers else Predictions.empty(len(snap.classes)),
        snap.calibration,
    )
    figures = _figures(results, min_iou) | {"trust": trust, "fused": agreement(same)}
    pairs = confused_pairs(results)
    times = measure_speed(snap, steps, MadeStage(models, detector, classifier, pills, prepared, work), settings)
    used = _resources(snap, models, settings)
    named = {"by_drug": _by_drug(results, steps), "confused": named_pairs(pairs, steps), "min_iou": min_iou}
    write_json(accuracy, figures | named)
    write_json(latency, times)
    write_json(resources, used)
    write_examples(examples, steps, results, pairs[:SHOWN_PAIRS], pills, prepared, min_iou)
    write_json(metrics, _metrics(figures, times, used, read_json(summary), len(snap.classes)))
    map50 = figures["detector"]["map50"]
    found = "not measured" if map50 is None else f"{map50:.4f}"
    log.info("top-1 %.4f, mAP@0.5 %s", figures["classifier"]["top1"], found)


def _measure_all(
    snap: PillSnap, steps: SeparateSteps, pills: pd.DataFrame, prepared: Sequence[Path], title: str
) -> tuple[list[PhotoResult], list[tuple[Answer, Answer]]]:
    """Each photograph's result, and its answers by the fused graph and by the single steps."""
    results, same = [], []
    for data, rows in progress(stored_photos(pills, prepared), total=pills["image_id"].nunique(), title=title):
        picture = decode_photo(data)
        result = _measure(steps, picture, rows)
        results.append(result)
        same.append((snap.identify(picture, result.domain), steps.identify(picture, result.domain)))
    return results, same


def _measure(steps: SeparateSteps, picture: np.ndarray, rows: pd.DataFrame) -> PhotoResult:
    boxes = rows[["x", "y", "w", "h"]].to_numpy(float)
    domain: Mode = rows["domain"].iloc[0]
    found = steps.detect(picture)
    answer = steps.choose(found, domain)
    logits, distances = steps.classify(steps.cut(picture, answer.boxes))
    return PhotoResult(
        image_id=rows["image_id"].iloc[0],
        domain=domain,
        fully_labelled=bool(rows["fully_labelled"].iloc[0]),
        width=picture.shape[1],
        height=picture.shape[0],
        boxes=boxes,
        targets=rows["class_index"].to_numpy(),
        found_boxes=found.boxes,
        found_scores=found.scores,
        answered=len(answer.boxes),
        label_logits=steps.classify(steps.cut(picture, boxes))[0],
        answer_logits=logits,
        answer_distances=distances,
    )


def _figures(results: list[PhotoResult], min_iou: float) -> dict[str, Any]:
    classifier = classifier_metrics(results)
    for domain in ("single", "combo"):
        part = [result for result in results if result.domain == domain]
        if part:
            classifier[domain] = classifier_metrics(part)
    return {
        "photos": len(results),
        "detector": detector_metrics(results),
        "classifier": classifier,
        "pipeline": pipeline_metrics(results, min_iou),
    }


def _by_drug(results: list[PhotoResult], snap: SeparateSteps) -> list[dict[str, Any]]:
    """Pills and top-1 of each drug that the test part has, worst first."""
    targets = np.concatenate([result.targets for result in results])
    right = np.concatenate([result.label_logits.argmax(axis=1) for result in results]) == targets
    table = pd.DataFrame({"target": targets, "right": right}).groupby("target")["right"].agg(["size", "mean"])
    rows = [
        {
            "k_code": snap.classes[index].k_code,
            "name": snap.classes[index].name,
            "pills": int(row["size"]),
            "top1": float(row["mean"]),
        }
        for index, row in table.iterrows()
    ]
    return sorted(rows, key=lambda row: (row["top1"], row["k_code"]))


def _resources(snap: PillSnap, models: Path, settings: Benchmark) -> dict[str, Any]:
    return {
        "device": describe_device(snap.device),
        "threads": settings.threads,
        "memory_total_bytes": memory()[0],
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "model_bytes": {path.name: path.stat().st_size for path in sorted(models.glob("*.onnx"))},
        "model": snap.info.sha256,
        "versions": package_versions(),
        "commit": git_commit(),
    }


def _metrics(
    figures: dict[str, Any], times: dict[str, Any], used: dict[str, Any], summary: dict[str, Any], n_classes: int
) -> dict[str, Any]:
    names = ("top1", "top5", "macro_f1")
    classifier = figures["classifier"]
    by_domain = {
        domain: {name: classifier[domain][name] for name in names}
        for domain in ("single", "combo")
        if domain in classifier
    }
    return {
        "data": {"photos": summary["photos"]["kept"], "classes": n_classes, "test_photos": figures["photos"]},
        "detector": {name: figures["detector"][name] for name in ("map50", "map50_95")},
        "classifier": {name: classifier[name] for name in names} | by_domain,
        "pipeline": figures["pipeline"],
        "trust": _trust_metrics(figures["trust"]),
        "latency": {mode: times[mode]["total"] for mode in ("single", "combo") if mode in times},
        "environment": {"device": used["device"], "threads": used["threads"], "model": used["model"]},
    }


def _trust_metrics(trust: dict[str, Any] | None) -> dict[str, Any]:
    """The figures that have targets; `None` where nothing could be measured."""
    known, unseen = (trust["verdicts"]["known"], trust["unseen"] or {}) if trust else ({}, {})
    return {
        "ece": trust["ece"]["after"] if trust else None,
        "known": known.get("share"),
        "known_right": known.get("right"),
        "unseen_not_known": unseen.get("not_known"),
        "unseen_auroc": unseen.get("auroc"),
    }
