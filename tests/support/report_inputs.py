"""Inputs of the report, written without a run; the figures are invented."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.config.config import Answers, Onnx
from pillsnap.files import sha256_of, write_json, write_text
from pillsnap.monitor.trainings import MODELS
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.pictures.draw import RIGHT, WRONG, Caption, draw_boxes
from pillsnap.report.write_model_card import write_model_card
from pillsnap.tables.classes import DrugClass, write_classes
from pillsnap.tables.files import write_table
from pillsnap.tables.schemas import DRUGS, FINDINGS
from pillsnap.training.history import write_history
from pillsnap.training.steering import events_to_json
from pillsnap.workflow.rules import RULES
from tests.support.measured import (
    calibration,
    drugs,
    latency,
    model_bytes,
    parity,
    percentiles,
    same_answers,
    same_pill,
    trust,
)
from tests.support.trainings import STEERING, classifier_rows, detector_rows, events_of
from tests.support.workflow import PROJECT, SCENE_RULES

REPOSITORY = PROJECT


NAMES = (
    "가스모틴정 5mg",
    "타이레놀정 500mg",
    "아모디핀정",
    "리피토정 10mg",
    "판콜에이캡슐",
    "노바스크정 5mg",
    "삐콤씨정",
    "무코스타정",
)


CONFUSED = ((0, 1), (2, 3), (1, 0))


COMMIT = {"hash": "3a48ba7c0ffee3a48ba7c0ffee3a48ba7c0ffee0", "dirty": False}


DEVICE = "CPU: AMD EPYC, 2 cores"


VERSIONS = {"python": "3.11.7", "pillsnap": "0.1.0", "torch": "2.14.1", "onnxruntime-gpu": "1.31.1"}


CONFIG = {
    "seed": 576,
    "device": "auto",
    "source": {"kind": "synthetic", "root": "data/raw/synthetic"},
    "manifest": {"remove_corrupt": True, "max_quarantined_fraction": 0.05},
    "scenes": {"photos": 0, "crops": True},
    "away": {"scenes": 120, "real_data": "${PILLSNAP_REAL_DATA:-}"},
    "yolo": {"max_single_photos": 240, "partly_labelled": "leave_out"},
    "detector": {"model": "yolo11n.yaml", "image_size": 256, "epochs": 12, "patience": 8, "validate_every": 1},
    "classifier": {"model": "resnet10t", "image_size": 112, "epochs": 20, "patience": 10, "validate_every": 1},
    "steering": STEERING,
    "training": {"cycles": 0, "detector_epochs_per_cycle": 2, "classifier_epochs_per_cycle": 1},
    "plan": {"unseen_drugs": 4, "unseen_photos": 240},
    "answers": Answers().model_dump(),
    "onnx": Onnx().model_dump(),
}


STAGE4 = {
    **{"top1": 0.92, "top5": 0.99, "macro_f1": 0.88, "map50": 0.85, "map50_95": 0.65, "p95_ms": 50.0},
    **{"ece": 0.02, "known_right": 0.99, "unseen_not_known": 0.95},
}


NO_TARGETS = dict.fromkeys(STAGE4)


def figures() -> dict[str, Any]:
    """What `run_benchmark` writes into metrics.json."""
    top = {"top1": 0.9342, "top5": 0.9961, "macro_f1": 0.9217}
    return {
        "data": {"photos": 2371, "classes": 8, "test_photos": 456},
        "detector": {"map50": 0.9871, "map50_95": 0.6412},
        "classifier": {**top, "single": top, "combo": {"top1": 0.9012, "top5": 0.9931, "macro_f1": 0.8874}},
        "pipeline": {
            "single_correct": 0.951,
            "single_found": 0.9974,
            "single_extra_per_photo": 0.0,
            "combo_correct": 0.8812,
            "combo_found": 0.9731,
            "combo_extra_per_photo": None,
        },
        "trust": {
            "ece": 0.0134,
            "known": 0.8125,
            "known_right": 0.9969,
            "unseen_not_known": 0.9833,
            "unseen_auroc": 0.9712,
        },
        "latency": {"single": percentiles(28.1), "combo": percentiles(41.2)},
        "environment": {"device": DEVICE, "threads": 2},
    }


def accuracy(metrics: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    curve = [{"recall": n / 100, "precision": round(1 - (n / 100) ** 14, 6)} for n in range(101)]
    classifier = {
        key: {**value, "pills": 260} if isinstance(value, dict) else value
        for key, value in metrics["classifier"].items()
    }
    return {
        "photos": 456,
        "detector": metrics["detector"] | {"photos": 450, "pills": 640, "pr_curve": curve},
        "classifier": classifier | {"pills": 646},
        "pipeline": metrics["pipeline"],
        "trust": trust(),
        "same_pill": same_pill(),
        "reading": {"seen": reading(640, 0.9062), "unseen": reading(118, 0.8983)},
        "fused": same_answers(456),
        "by_drug": [
            {
                "k_code": f"K-{index:06d}",
                "name": name,
                "pills": 20,
                "top1": round(1 - 0.4 / (index + 1), 4) if index < 5 else 1.0,
            }
            for index, name in enumerate(names)
        ],
        "confused": confused_pairs(names),
        "min_iou": 0.5,
    }


def reading(pills: int, imprint: float) -> dict[str, Any]:
    """What `run_benchmark` tells of the reader."""
    shares = {"imprint_told": 0.9812, "imprint_right_if_told": 0.9217, "shape": 0.9985, "colours": 0.9934}
    both = {"pills": pills // 3, "imprint": round(imprint - 0.05, 4)}
    others = {"imprint": imprint, "imprint_ece": 0.0312, "contradicts": 0.0123, "both_printed": both}
    return {"pills": pills} | others | shares


def confused_pairs(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Those with pictures, and one without."""
    return [
        {
            "true": f"K-{true:06d}",
            "true_name": names[true],
            "named": f"K-{named:06d}",
            "named_name": names[named],
            "count": 5 - true,
        }
        for true, named in (*CONFUSED, (4, 5))
    ]


def manifest_summary() -> dict[str, Any]:
    def side(photos: int, combo: int) -> dict[str, int]:
        return {
            "photos": photos,
            "pills": photos + 2 * combo,
            "single": photos - combo,
            "combo": combo,
            "groups": photos // 3,
            "classes": 8,
        }

    return {
        "photos": {
            "read": 2464,
            "kept": 2371,
            "quarantined": {"photo_truncated": 6, "photo_empty": 5, "photo_without_label": 4},
            "skipped": {"index_picture": 78},
        },
        "labels": {
            "read": 3034,
            "kept": 2971,
            "quarantined": {"bbox_malformed": 6, "label_of_quarantined_photo": 21, "label_unparsable": 6},
            "skipped": {"over_budget": 30},
        },
        "quarantined_share": {"indexed": 0.001623, "decoded": 0.004619},
        "repaired": {"bbox_clipped": 6, "label_cp949": 6},
        "partly_labelled_photos": 12,
        "without_class": {"photos": 3, "labels": 4},
        "overlapping_labels": {"pairs": 2, "photos": 1},
        "splits": {"train": side(1532, 190), "val": side(383, 48), "test": side(456, 62)},
        "unseen": {"unseen_val": {"photos": 30, "drugs": 2}, "unseen_test": {"photos": 15, "drugs": 1}},
        "archives": {"read": 12, "kept": 12, "quarantined": {}, "skipped": {}},
        "audit": {
            "groups_on_two_sides": 0,
            "contents_on_two_sides": 0,
            "near_duplicates": {
                "max_distance": 10,
                "bits": 256,
                "pairs": 5,
                "by_sides": {
                    "train-val": {"pairs": 3, "train_photos": 3, "val_photos": 2},
                    "train-test": {"pairs": 2, "train_photos": 2, "test_photos": 1},
                    "val-test": {"pairs": 0, "val_photos": 0, "test_photos": 0},
                },
            },
        },
    }


def pill_picture(
    seed: int, width: int, height: int, pills: int
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.stack([200 + 20 * np.sin(x / width + k) - 15 * y / height for k in range(3)], axis=-1)
    boxes = []
    for number in range(pills):
        w, h = width * random.uniform(0.2, 0.3), width * random.uniform(0.16, 0.22)
        left, top = width * (0.12 + 0.45 * (number % 2)), height * (0.15 + 0.4 * (number // 2))
        inside = ((x - left - w / 2) / (w / 2)) ** 2 + ((y - top - h / 2) / (h / 2)) ** 2 < 1
        picture[inside] = random.uniform(90, 250, 3)
        boxes.append((left, top, w, h))
    return np.clip(picture, 0, 255).astype(np.uint8), boxes


def write_examples(folder: Path, names: tuple[str, ...], width: int) -> None:
    samples = []
    (folder / "samples").mkdir(parents=True)
    (folder / "confused").mkdir()
    for number in range(6):
        domain, pills = ("combo", 4) if number < 3 else ("single", 1)
        right = pills - number % 2
        picture, boxes = pill_picture(number, width, round(width * 1.3), pills)
        captions = [
            Caption(box, f"K-{place:06d} 97%", RIGHT if place < right else WRONG) for place, box in enumerate(boxes)
        ]
        (folder / f"samples/{number:02d}.jpg").write_bytes(encode_jpeg(draw_boxes(picture, captions), 85))
        facts = {"image_id": f"VS_1.K-{number}", "domain": domain, "pills": pills, "answered": pills, "right": right}
        samples.append({"file": f"samples/{number:02d}.jpg", **facts})
    for number in range(4):
        (folder / f"confused/{number}.jpg").write_bytes(encode_jpeg(pill_picture(20 + number, 96, 96, 1)[0], 90))
    files = [
        {"true_file": f"confused/{true}.jpg", "named_file": f"confused/{named}.jpg" if true else None}
        for true, named in CONFUSED
    ]
    pairs = [pair | file for pair, file in zip(confused_pairs(names), files, strict=False)]
    write_json(folder / "index.json", {"samples": samples, "confused": pairs})


def away_set(name: str, kind: str, recall: float) -> dict[str, Any]:
    """Figures of 100 photographs with 800 pills, of one size and number; two are of no pill."""
    shares = {"pills": 800, "found": round(800 * recall), "recall": recall, "boxes": 900, "precision": 0.8}
    shares |= {"map50": 0.7, "map50_95": 0.5}
    counts = {"boxes": 300, "on_pills": 200, "no_pill": 100, "left_out": 0}
    return {
        "data": {"name": name, "kind": kind},
        "found": {"photos": 100} | shares | {"partly_labelled": {"photos": 0, "left_out": 0}},
        "by_size": [{"least": 0.03, "most": 0.06} | shares, {"least": 0.5, "most": None} | shares],
        "by_number": [{"least": 2, "most": 4, "photos": 98} | shares],
        "backgrounds": {"photos": 2, "with_boxes": 1, "boxes": 3},
        "verdicts": {"known": counts | {"boxes": 7}, "uncertain": counts, "unknown": counts},
        "drugs": None,
        "worst": [],
    }


def references() -> dict[str, Any]:
    """Figures of three drugs that were enrolled with 1 and with 5 photographs each."""
    trained = {"pills": 438, "top1": 0.94, "known": 0.58, "known_right": 0.996}
    shares = {"least": 0.5, "most": 0.98, "spread": 0.21, "in_set": 0.91, "unknown": 0.06, "known": 0.004}
    numbers = [
        {"references": number, "drugs": 3, "pills": 400, "top1": top1, "right": 0.987, "mistaken": 0.002}
        | shares
        | {"trained": trained | {"pills": 4380, "top1": 0.9385}}
        for number, top1 in ((1, 0.8), (5, 0.955))
    ]
    return {"drugs": 3, "pills": 45, "draws": 10, "trained": trained, "numbers": numbers}


def write_away(folder: Path, width: int) -> None:
    """Composed scenes with two pictures, a set of real photographs with one, and one that cannot be measured."""
    composed = away_set("composed", "composed", 0.875) | {
        "cut_outs": {"read": 84, "cut_out": 80, "refused": {"faint": 4}}
    }
    sets = [composed, away_set("hands", "yolo", 0.25)]
    for place, (one, pictures) in enumerate(zip(sets, (2, 1), strict=True)):
        for number in range(pictures):
            picture, boxes = pill_picture(60 + 10 * place + number, width, width, 3)
            captions = [Caption(box, "0.61", RIGHT) for box in boxes[:2]]
            file = folder / one["data"]["name"] / f"{number:02d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode_jpeg(draw_boxes(picture, captions), 85))
            facts = {"archive": "train", "photo": f"{number}.jpg", "pills": 3, "found": 2, "missed": 1, "false": number}
            one["worst"].append({"file": file.relative_to(folder).as_posix()} | facts)
    sets.append({"data": {"name": "notes", "kind": ""}, "problem": "notes: is no data set that is known."})
    write_json(folder / "evaluation.json", {"sets": sets})


def write_label_audit(folder: Path, width: int) -> None:
    counts = {"split": {"train": 3, "val": 1}, "domain": {"single": 0, "combo": 4}}
    kinds = {
        "detection_without_label": counts | {"all": 4, "fully_labelled": 1, "partly_labelled": 3},
        "label_without_detection": counts | {"all": 4, "fully_labelled": 4, "partly_labelled": 0},
    }
    summary = {"photos": 1915, "partly_labelled_photos": 12, "labels": 2391, "confident_detections": 2402}
    thresholds = {"lowest_score": 0.05, "min_score": 0.6, "max_iou": 0.3, "min_iou": 0.5}
    write_json(
        folder / "summary.json", summary | {"photos_with_findings": 7, "findings": kinds, "thresholds": thresholds}
    )
    (folder / "pictures").mkdir()
    rows = []
    for number in range(8):
        kind = list(kinds)[number % 2]
        stem = f"K-000001-000002-00000{3 + number // 2}_0_2_0_2_{70 + number}_000_200"
        row = dict.fromkeys(FINDINGS.columns, "") | {"image_id": f"TS_1_combo.{stem}", "archive": "TS_1_combo"}
        row |= {"member": f"{stem}.png", "split": "val" if number > 5 else "train", "domain": "combo", "kind": kind}
        row |= (
            {"score": 0.93, "best_iou": 0.0, "suggested_k_codes": "K-000002,K-000003"}
            if number % 2 == 0
            else {"best_iou": 0.1234, "k_code": "K-000001"}
        )
        if number < 6:
            row["picture"] = f"pictures/{kind}_{number // 2:02d}.jpg"
            drawn, boxes = pill_picture(40 + number, width, round(width * 1.3), 3)
            captions = [Caption(boxes[0], "K-000001"), Caption(boxes[1], "0.93", WRONG)]
            (folder / row["picture"]).write_bytes(encode_jpeg(draw_boxes(drawn, captions), 85))
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "findings.csv", index=False, encoding="utf-8-sig", lineterminator="\n")


def taken(history: list[dict[str, float | None]]) -> dict[str, Any]:
    """What `pillsnap.training.resources` sums up of a training on a machine without a GPU."""
    seconds = [row["seconds"] for row in history if row["seconds"] is not None]
    bytes_per_second = {
        f"{kind}_disk_{way}_bytes_per_second": {"mean": 2e6, "peak": 5e6}[kind]
        for kind in ("mean", "peak")
        for way in ("read", "write")
    }
    gpu = ("gpu", "peak_gpu_bytes", "gpu_bytes_of", "peak_gpu_allocated_bytes", "mean_gpu_busy")
    return (
        bytes_per_second
        | dict.fromkeys(gpu)
        | {
            "samples": 99,
            "sample_seconds": 5.0,
            "peak_ram_bytes": 2.5e9,
            "least_disk_free_bytes": 40e9,
            "epochs": len(history),
            "seconds_per_epoch": seconds[0] if seconds else None,
            "pictures": 430,
            "pictures_per_second": 10.0 if seconds else None,
            "checkpoint_bytes": 31e6,
        }
    )


def write_durations(folder: Path) -> None:
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"

    def job(name: str, seconds: float, rss: str = "512.5") -> None:
        write_text(folder / f"{name}.tsv", f"{head}{seconds}\t0:00:01\t{rss}\t0\t0\t0\t0\t0\t90.0\t{seconds * 1.5}\n")

    for number in (1, 2):
        job(f"make_synthetic_archive/1.Training/raw/TS_{number}_single", 55.0)
        job(f"index_archive/TS_{number}", 1.5, rss="NA")
        job(f"stage4/prepare_archive/TS_{number}", 31.0)
    without_scenes = [rule for rule in RULES[5:] if rule not in SCENE_RULES]
    for rule, seconds in zip(
        without_scenes,
        (2.2, 3.6, 4.1, 498.0, 21.0, 2.5, 9.0, 761.0, 14.0, 22.0, 64.0, 7.5, 13.5, 1.2, 5.1),
        strict=True,
    ):
        job(f"stage4/{rule}", seconds)
    job("stage4/plan_stage", 1.1)
    job("stage4/check_machine", 3.3)
    job("stage3/train_detector", 9999)
    job("another-run/stage4/train_detector", 9999)


def write_inputs(
    folder: Path, *, metrics: dict[str, Any] | None = None, names: tuple[str, ...] = NAMES, width: int = 120
) -> dict[str, Any]:
    """Every file that the rules write, small; returns the arguments of `write_report`."""
    metrics = metrics or figures()
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "accuracy.json", accuracy(metrics, names))
    write_json(folder / "calibration.json", calibration())
    write_json(folder / "latency.json", latency(tuple(metrics["latency"])))
    used = {"device": DEVICE, "threads": 2, "memory_total_bytes": 25276063744, "peak_memory_bytes": 432386048}
    used |= {
        "model_bytes": model_bytes(),
        "model": "5e" * 32,
        "versions": VERSIONS,
        "commit": COMMIT,
    }
    write_json(folder / "resources.json", used)
    write_examples(folder / "examples", names, width)
    write_json(folder / "references.json", references())
    write_away(folder / "away", width)
    write_label_audit(folder / "label_audit", width)
    plan = {"asked": {"images": 500000, "classes": 4523}, "used": {"images": 2386, "classes": 8}}
    plan["unseen_drugs"] = {"asked": 8, "used": 3, "limit": "plan.unseen_share is 0.2 of 15 trainable drugs"}
    write_json(
        folder / "plan.json",
        plan | {"skipped": {"photos": {}, "labels": {}}, "classes": [], "classes_left_out": ["K-000999"]},
    )
    write_json(folder / "summary.json", manifest_summary())
    rows = [f"TS_1_single,K-000001/K-000001_{n}.png,,photo_truncated,image file is truncated\n" for n in range(40)]
    (folder / "quarantine.csv").write_text(
        "archive,member,label_member,reason,detail\n" + "".join(rows), encoding="utf-8-sig"
    )
    classes = folder / "classes.json"
    write_classes(
        [DrugClass(index, f"K-{index:06d}", ("643303740",), name) for index, name in enumerate(names)], classes
    )
    write_table(drugs(names), folder / "drugs.csv", DRUGS)
    for model, history in (("detector", detector_rows(12)), ("classifier", classifier_rows(20))):
        write_history(history, folder / f"{model}.csv")
        write_json(folder / f"{model}_events.json", events_to_json(events_of(model, history)))
        write_json(folder / f"{model}_resources.json", taken(history))
    record = {"commit": COMMIT, "settings": {}, "seed": 576, "device": DEVICE, "versions": VERSIONS}
    write_json(folder / "detector.json", {"inputs": {"results/stage4/yolo": "ad" * 32}, **record})
    write_json(
        folder / "classifier.json",
        {"inputs": {"results/stage4/crops": "ce" * 32, "classes.json": sha256_of(classes)}, **record},
    )
    parts = {
        "train": {"pills": 1912, "found_by_detector": 1893, "mean_iou": 0.9123},
        "val": {"pills": 479, "found_by_detector": 0, "mean_iou": None},
    }
    write_json(folder / "crops.json", parts)
    write_json(folder / "parity.json", parity())
    found = [
        {"verdict": "ok", "what": "memory", "found": "20.8 GiB of 23.5 GiB free", "cure": ""},
        {"verdict": "warning", "what": "disk", "found": "7 GiB free", "cure": "Free some space"},
    ]
    write_json(folder / "preflight.json", {"findings": found})
    write_durations(folder / "logs")
    paths = {
        "metrics": "metrics.json",
        "accuracy": "accuracy.json",
        "latency": "latency.json",
        "resources": "resources.json",
        "examples": "examples",
        "references": "references.json",
        "away": "away",
        "plan_summary": "plan.json",
        "manifest_summary": "summary.json",
        "quarantine": "quarantine.csv",
        "label_audit": "label_audit",
        "classes": "classes.json",
        "drugs": "drugs.csv",
        "detector_history": "detector.csv",
        "classifier_history": "classifier.csv",
        **{f"{model}_{what}": f"{model}_{what}.json" for model in MODELS for what in ("events", "resources")},
        "detector_record": "detector.json",
        "classifier_record": "classifier.json",
        "crops_summary": "crops.json",
        "calibration": "calibration.json",
        "parity": "parity.json",
        "preflight": "preflight.json",
        "durations": "logs",
        "report": "out/report.html",
        "figures": "out/figures",
    }
    asked = {"stage": "stage4", "config": CONFIG, "targets": STAGE4, "sources": {"synthetic": "synthetic"}}
    return {role: folder / name for role, name in paths.items()} | asked


def words_of(page: str) -> str:
    """The page's visible words, in one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    body = re.sub(r'<span class="whole">(.*?)</span>', r"\1", body)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


READ = ("stage", "metrics", "accuracy", "latency", "resources", "calibration", "parity", "manifest_summary", "drugs")


SECTIONS = ("detector", "classifier", "answers", "scenes")
"""What the rule gives of the configuration."""


ASKED = ("config", "targets", "sources")


def card_of(arguments: dict[str, Any], folder: Path, **changed: Any) -> str:
    card = folder / "model_card.md"
    given = {name: arguments[name] for name in (*READ, *ASKED)} | changed
    given["config"] = {name: given["config"][name] for name in SECTIONS}
    write_model_card(**given, model_card=card)
    return card.read_text(encoding="utf-8")
