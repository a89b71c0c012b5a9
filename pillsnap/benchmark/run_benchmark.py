"""Benchmark of a stage on its test split: accuracy, latency, resources."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from pillsnap.answers.accuracy import (
    DetectorResult,
    PhotoResult,
    answer_predictions,
    background_metrics,
    classifier_metrics,
    confused_pairs,
    detector_metrics,
    labelled_pills,
    pipeline_metrics,
)
from pillsnap.answers.agreement import agreement
from pillsnap.answers.answer import Answer, Mode
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics
from pillsnap.benchmark.by_source import metrics_by_source
from pillsnap.benchmark.device_parity import compare_devices
from pillsnap.benchmark.examples import describe_pairs, write_examples
from pillsnap.benchmark.photo_results import (
    AT_ONCE,
    FEEDING_A_GPU,
    Labels,
    StoredPhoto,
    answer_of,
    for_each_batch,
    measure_all,
    measure_backgrounds,
)
from pillsnap.benchmark.reading import ReadPill, read_pills_of, reading_metrics
from pillsnap.benchmark.same_pill import same_pill_metrics
from pillsnap.benchmark.speed import StageFiles, measure_speed
from pillsnap.config.config import Benchmark
from pillsnap.files import read_json, write_json
from pillsnap.manifest.drugs import looks_by_drug
from pillsnap.predict.model import PillSnap
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.files import read_table, read_tables
from pillsnap.tables.schemas import LOOKS, MANIFEST, MANIFEST_BACKGROUNDS
from pillsnap.workflow.provenance import describe_run

log = logging.getLogger(__name__)

LEAST_SAME = 0.99
"""Share of photographs that a GPU and the CPU must answer alike without a warning."""
FUSED_PHOTOS = 2000
"""Test photographs, and those of drugs never seen, that the fused graph answers too, at most: it takes one at a time,
which a GPU would need hours for with all of them."""
SHOWN_PAIRS = 8
"""Confused pairs with pictures."""

Measured = tuple[PhotoResult, list[tuple[Answer, Answer]], list[ReadPill]]
"""Of a photograph: what the separate steps give, the fused graph's answer beside theirs, and what it reads; nothing of
the fused graph where it was not asked."""


def run_benchmark(
    *,
    models: Path,
    detector: Path,
    classifier: Path,
    manifest: Path,
    unseen: Path,
    backgrounds: Path,
    summary: Path,
    prepared: Sequence[Path],
    looks: Sequence[Path],
    accuracy: Path,
    latency: Path,
    resources: Path,
    metrics: Path,
    examples: Path,
    work: Path,
    settings: Benchmark,
    min_iou: float,
    device: str,
    source_of: Mapping[str, str],
) -> None:
    """Answer every test photograph with the exported ONNX models and measure.

    Detector and classifier answer all of them, on a GPU many at once; the fused graph, which also reads, answers those
    of `FUSED_PHOTOS`. Times are those of one photograph after the other.

    Args:
        models: folder of `export_onnx`.
        detector, classifier: `best.pt` and safetensors of the trainings, for the comparison with PyTorch.
        manifest: test manifest.
        unseen: manifest of held-out drugs; photographs of its split `unseen_test` are answered.
        backgrounds: photographs without a pill, schema `MANIFEST_BACKGROUNDS`; what is found on those of the test part
            is wrong.
        summary: summary of `build_manifest`.
        prepared: folders of `prepare_archive`; test photographs lie there at native size.
        looks: tables of `index_archive`, schema `LOOKS`, of all archives.
        accuracy: written, JSON: every figure, precision-recall curve, accuracy by drug, confused pairs, trust, answers
            to both sides of a pill (`same_pill`), what is read of them (`reading`); with a GPU also `devices`, its
            answers against the CPU's.
        latency: written, JSON: percentiles by step, and side by side with other ways to an answer.
        resources: written, JSON: peak memory, model sizes, device, versions.
        metrics: written, JSON: the figures that DVC, the report and people compare.
        examples: folder, written whole: `samples/` and `confused/` with pictures, `index.json` says what they show.
        work: folder for ultralytics' own settings.
        settings: thresholds and counts.
        min_iou: IoU from which a box counts as found.
        device: `auto`, `cpu` or `cuda`.
        source_of: name of the source by the archive's name; where there are several, each has figures of its own.

    Raises:
        ModelError: the models cannot be used.
        HardwareError: `cuda` was requested and does not work.
    """
    pills, unseen_pills = read_table(manifest, MANIFEST), read_table(unseen, MANIFEST)
    unseen_pills = unseen_pills[unseen_pills["split"] == "unseen_test"]
    fused = PillSnap.load(models, threads=1, device=device)
    steps = SeparateSteps.load(models, threads=1, device=device)
    compared = _evenly(pills, FUSED_PHOTOS) | _evenly(unseen_pills, FUSED_PHOTOS)

    def measure_both(
        photos: Sequence[StoredPhoto],
    ) -> list[tuple[PhotoResult, list[tuple[Answer, Answer]], list[ReadPill]]]:
        opened = [open_photo(data, fused.facts) for data, _ in photos]
        measured: list[Measured] = []
        results = measure_all(steps, opened, [Labels.of_rows(rows) for _, rows in photos])
        for photo, (_, rows), result in zip(opened, photos, results, strict=True):
            if result.image_id not in compared:
                measured.append((result, [], []))
                continue
            with steps.turn:
                answer = fused.identify(photo, result.domain)
            read = read_pills_of(answer, rows["k_code"].tolist(), result.boxes, min_iou)
            measured.append((result, [(answer, answer_of(result, steps))], read))
        return measured

    size, threads = (AT_ONCE, FEEDING_A_GPU) if steps.device == "cuda" else (1, settings.threads)
    each_photo = partial(for_each_batch, prepared=prepared, size=size, threads=threads)
    measured = each_photo(measure_both, pills, title="test photographs")
    results, answers, read = zip(*measured, strict=True)
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS)
    empty = empty[empty["split"] == "test"]
    background_results = each_photo(partial(measure_backgrounds, steps), empty, title="backgrounds")
    strangers = each_photo(measure_both, unseen_pills, title="unseen drugs")
    unseen_results, _, unseen_read = zip(*strangers, strict=True) if strangers else ((), (), ())
    look_of = looks_by_drug(read_tables(looks, LOOKS))
    trust = calibration_metrics(
        answer_predictions(results, min_iou),
        answer_predictions(unseen_results, min_iou) if unseen_results else Predictions.empty(len(fused.classes)),
        fused.calibration,
    )
    together = same_pill_metrics(
        results,
        unseen_results,
        drug_of={**_drug_of(pills), **_drug_of(unseen_pills)},
        calibration=fused.calibration,
        min_iou=min_iou,
        min_score=fused.facts["min_score"],
    )
    facts = read_json(summary)
    labelled = set(pills.loc[~pills["archive"].isin(facts.get("boxes", {})), "image_id"])
    detected = [*(result for result in results if result.image_id in labelled), *background_results]
    figures = _figures(results, detected, min_iou) | {
        "trust": trust,
        "same_pill": together,
        "reading": {
            "seen": reading_metrics(list(chain(*read)), look_of),
            "unseen": reading_metrics(list(chain(*unseen_read)), look_of),
        },
        "fused": agreement(chain(*answers)),
    }
    boxes = [int((result.found_scores >= settings.min_score).sum()) for result in background_results]
    figures["detector"] |= background_metrics(boxes)
    if len(set(source_of.values())) > 1:
        figures["sources"] = metrics_by_source(results, pills, labelled, source_of, min_iou)
    pairs = confused_pairs(results)
    stage = StageFiles(models, detector, classifier, pills, prepared, work)
    if fused.device == "cuda":
        figures["devices"] = _compare_devices(stage, settings)
    times = measure_speed(stage, settings, compared=settings.latency_photos // 5, device=fused.device)
    sizes = {path.name: path.stat().st_size for path in sorted(models.glob("*.onnx"))}
    used = describe_run(fused.device, settings.threads) | {"model_bytes": sizes, "model": fused.info.sha256}
    details = {"by_drug": _by_drug(results, steps), "confused": describe_pairs(pairs, steps), "min_iou": min_iou}
    write_json(accuracy, figures | details)
    write_json(latency, times)
    write_json(resources, used)
    write_examples(examples, steps, results, pairs[:SHOWN_PAIRS], pills, prepared, min_iou)
    write_json(metrics, _metrics(figures, times, used, facts, len(fused.classes)))
    map50 = figures["detector"]["map50"]
    found = "not measured" if map50 is None else f"{map50:.4f}"
    log.info("top-1 %.4f, mAP@0.5 %s", figures["classifier"]["top1"], found)


def _figures(results: Sequence[PhotoResult], detected: Sequence[DetectorResult], min_iou: float) -> dict[str, Any]:
    classifier = classifier_metrics(results)
    for domain in ("single", "combo"):
        part = [result for result in results if result.domain == domain]
        if part:
            classifier[domain] = classifier_metrics(part)
    return {
        "photos": len(results),
        "detector": detector_metrics(detected),
        "classifier": classifier,
        "pipeline": pipeline_metrics(results, min_iou),
    }


def _evenly(pills: pd.DataFrame, at_most: int) -> set[str]:
    """image_id of photographs, evenly chosen where there are more."""
    images = list(dict.fromkeys(pills["image_id"]))
    return set(images[:: max(1, -(-len(images) // at_most))])


def _drug_of(pills: pd.DataFrame) -> dict[str, str]:
    """K-code of the photographs of single pills, by image_id."""
    single = pills[pills["domain"] == "single"]
    return dict(zip(single["image_id"], single["k_code"], strict=True))


def _compare_devices(stage: StageFiles, settings: Benchmark) -> dict[str, Any]:
    """See `compare_devices`; warns where a GPU answers otherwise than the CPU."""
    each = max(1, settings.latency_photos // 5)
    photos = {mode: stage.photos(stage.pills["domain"] == mode, each) for mode in get_args(Mode)}
    found = compare_devices(stage.models, photos, threads=settings.threads)
    for name, one in found.items():
        if one["same_top1"] < LEAST_SAME:
            log.warning("%s and the CPU answer only %.1f %% of the photographs alike", name, 100 * one["same_top1"])
    return found


def _by_drug(results: Sequence[PhotoResult], snap: SeparateSteps) -> list[dict[str, Any]]:
    """Pills and top-1 of each drug of the test split, worst first."""
    guesses, targets = labelled_pills(results)
    table = (
        pd.DataFrame({"target": targets, "right": guesses[:, 0] == targets})
        .groupby("target")["right"]
        .agg(["size", "mean"])
    )
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
        **({"sources": figures["sources"]} if "sources" in figures else {}),
        "trust": _trust_metrics(figures["trust"]),
        **({"same_pill": figures["same_pill"]["both"]} if figures["same_pill"] else {}),
        **({"reading": figures["reading"]} if figures["reading"]["seen"] else {}),
        "latency": {mode: times[mode]["total"] for mode in ("single", "combo") if mode in times},
        "environment": {"device": used["device"], "threads": used["threads"], "model": used["model"]},
    }


def _trust_metrics(trust: dict[str, Any] | None) -> dict[str, Any]:
    """Figures of trust that have targets; `None` where nothing could be measured."""
    known, unseen = (trust["verdicts"]["known"], trust["unseen"] or {}) if trust else ({}, {})
    return {
        "ece": trust["ece"]["after"] if trust else None,
        "ece_chance_95": trust["ece"]["chance_95"] if trust else None,
        "known": known.get("share"),
        "known_right": known.get("right"),
        "unseen_not_known": unseen.get("not_known"),
        "unseen_auroc": unseen.get("auroc"),
    }
