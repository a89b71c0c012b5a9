"""Measure a stage on its test part: accuracy, latency, resources. The only reader of test photographs."""

import logging
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.accuracy import (
    PhotoResult,
    classifier_metrics,
    confused_pairs,
    detector_metrics,
    pipeline_metrics,
)
from pillsnap.answers import Mode
from pillsnap.config import Benchmark
from pillsnap.examples import named_pairs, write_examples
from pillsnap.files import read_json, write_json
from pillsnap.hardware import memory
from pillsnap.identify import PillSnap
from pillsnap.latency import measure_latency
from pillsnap.pictures import decode_photo
from pillsnap.progress import progress
from pillsnap.provenance import describe_device, git_commit, package_versions
from pillsnap.stored_photos import stored_photos
from pillsnap.tables import MANIFEST, read_table

log = logging.getLogger(__name__)


def run_benchmark(
    *,
    models: Path,
    manifest: Path,
    summary: Path,
    prepared: Sequence[Path],
    accuracy: Path,
    latency: Path,
    resources: Path,
    metrics: Path,
    examples: Path,
    settings: Benchmark,
    min_iou: float,
    device: str,
) -> None:
    """Answer every test photograph with the delivered ONNX models and measure.

    Args:
        models: folder of `export_onnx`.
        manifest: test manifest.
        summary: summary of `build_manifest`.
        prepared: folders of `prepare_archive`; test photographs lie there at native size.
        accuracy: written, JSON: every figure, precision-recall curve, accuracy by drug, confused pairs.
        latency: written, JSON: percentiles by step for single and combo.
        resources: written, JSON: peak memory, model sizes, device, versions.
        metrics: written, JSON: the figures that DVC, the report and people compare.
        examples: folder, written whole: `samples/` and `confused/` with pictures, `index.json` says what they show.
        settings: thresholds and counts.
        min_iou: IoU from which a box counts as found.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ModelError: the models cannot be used.
        HardwareError: `cuda` is asked for and does not work.
    """
    snap = PillSnap.load(models, threads=settings.threads, device=device)
    pills = read_table(manifest, MANIFEST)
    results = [
        _measure(snap, data, rows)
        for data, rows in progress(
            stored_photos(pills, prepared), total=pills["image_id"].nunique(), title="test photographs"
        )
    ]
    figures = _figures(results, min_iou)
    pairs = confused_pairs(results)
    by_drug = _by_drug(results, snap)
    times = _latencies(snap, pills, prepared, settings)
    used = _resources(snap, models, settings)
    write_json(accuracy, figures | {"by_drug": by_drug, "confused": named_pairs(pairs, snap), "min_iou": min_iou})
    write_json(latency, times)
    write_json(resources, used)
    write_examples(examples, snap, results, pairs, pills, prepared, min_iou)
    write_json(metrics, _metrics(figures, times, used, read_json(summary), len(snap.classes)))
    map50 = figures["detector"]["map50"]
    found = "not measured" if map50 is None else f"{map50:.4f}"
    log.info("top-1 %.4f, mAP@0.5 %s", figures["classifier"]["top1"], found)


def _measure(snap: PillSnap, data: bytes, rows: pd.DataFrame) -> PhotoResult:
    picture = decode_photo(data)
    boxes = rows[["x", "y", "w", "h"]].to_numpy(float)
    domain: Mode = rows["domain"].iloc[0]
    found = snap.detect(picture)
    answer = snap.choose(found, domain)
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
        label_probabilities=snap.classify(snap.cut(picture, boxes)),
        answer_probabilities=snap.classify(snap.cut(picture, answer.boxes)),
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


def _by_drug(results: list[PhotoResult], snap: PillSnap) -> list[dict[str, Any]]:
    """Pills and top-1 of each drug that the test part has, worst first."""
    targets = np.concatenate([result.targets for result in results])
    right = np.concatenate([result.label_probabilities.argmax(axis=1) for result in results]) == targets
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


def _latencies(snap: PillSnap, pills: pd.DataFrame, prepared: Sequence[Path], settings: Benchmark) -> dict[str, Any]:
    times: dict[str, Any] = {
        "device": snap.device,
        "threads": settings.threads,
        "warmup": settings.warmup,
        "photos": "test photographs at native size, as JPEG, from memory",
    }
    for mode in ("single", "combo"):
        images = list(dict.fromkeys(pills.loc[pills["domain"] == mode, "image_id"]))
        if not images:
            continue
        chosen = pills[pills["image_id"].isin(images[:: max(1, len(images) // settings.latency_photos)])]
        photos = [data for data, _ in stored_photos(chosen, prepared)]
        counts = {"count": settings.latency_photos, "warmup": settings.warmup}
        times[mode] = measure_latency(snap, photos, mode, **counts)
    return times


def _resources(snap: PillSnap, models: Path, settings: Benchmark) -> dict[str, Any]:
    return {
        "device": describe_device(snap.device),
        "threads": settings.threads,
        "memory_total_bytes": memory()[0],
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "model_bytes": {path.name: path.stat().st_size for path in sorted(models.glob("*.onnx"))},
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
        "latency": {mode: times[mode]["total"] for mode in ("single", "combo") if mode in times},
        "environment": {"device": used["device"], "threads": used["threads"]},
    }
