"""A pill whose drug cannot be trained, beside pills of others: its box stays, its class goes, and everybody knows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pillsnap.answers.accuracy import (
    PhotoResult,
    answer_predictions,
    classifier_metrics,
    confused_pairs,
    detector_metrics,
    likeliest,
    pipeline_metrics,
)
from pillsnap.audit.audit_labels import audit_labels
from pillsnap.config.data import Audit, Yolo
from pillsnap.crops.dataset import CropDataset
from pillsnap.dataset.facts.gather import gather_facts
from pillsnap.dataset.stage_data import read_stage_data
from pillsnap.dataset.summary import summarise
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.yolo_shards import unpack_shards
from pillsnap.files import read_json
from pillsnap.preflight.manifest import check_manifest
from pillsnap.tables.classes import UNLABELLED, read_classes
from pillsnap.tables.files import write_table
from pillsnap.tables.schemas import DETECTIONS
from tests.support.archives import DRUGS, LENIENT, DataRun, hand_made, prepare_source
from tests.support.crop_runs import cut, seen

MANIFEST_FILES = {"quarantine": "quarantine.csv", "classes": "classes.json", "summary": "summary.json"}
FEW, TESTED = "K-000008", "K-000009"
"""A drug that only one combination shows, and one that only the source's test part shows."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    raw, folder = hand_made(), tmp_path_factory.mktemp("run")
    for latitude in (70, 75, 90):
        raw.add_combo("TS_1_조합", (DRUGS[0], FEW), latitude)
    raw.add_combo("VS_1_조합", (DRUGS[1], TESTED), 70)
    raw.add_single("VS_1_단일", TESTED, "2_1_0_90_040")
    run = prepare_source(raw.write(folder / "raw"), folder / "results")
    run.build_manifest(LENIENT)
    return run


def test_photographs_stay_with_all_their_boxes(run: DataRun) -> None:
    pills = run.pills()
    alone = pills[pills["class_index"] == -1]
    assert sorted(alone["k_code"]) == [FEW] * 3 + [TESTED]
    assert set(alone["domain"]) == {"combo"} and alone["fully_labelled"].all()
    assert pills[pills["class_index"] >= 0].groupby("image_id").size().reindex(pills["image_id"]).ge(1).all()
    assert [drug.k_code for drug in read_classes(run.folder / "manifest/classes.json")] == list(DRUGS)


def test_every_account_tells_them(run: DataRun) -> None:
    plan, summary = read_json(run.folder / "plan.json"), run.summary()
    assert plan["without_class"] == summary["without_class"] == {"photos": 4, "labels": 4}
    assert set(plan["classes_dropped"]["too_small"]) == {FEW}
    assert set(plan["classes_dropped"]["test_only"]) == {TESTED}
    labels = summary["labels"]
    assert labels["read"] == labels["kept"] + 1 and labels["quarantined"] == {"class_only_in_test_part": 1}
    assert {side["classes"] for side in summary["splits"].values()} == {3}
    files = {name: run.folder / "manifest" / file for name, file in MANIFEST_FILES.items()}
    data = read_stage_data(manifest=run.manifest(), plan_summary=run.folder / "plan.json", **files)
    assert gather_facts(data).parts[-1].drugs == 3
    assert summarise(data, stage="stage4", kinds=["aihub"])["without_class"] == summary["without_class"]
    assert check_manifest(run.folder / "manifest").found.startswith("complete")


def test_the_detector_learns_the_box_and_the_classifier_does_not(run: DataRun, tmp_path: Path) -> None:
    parts = ("train", "val")
    pills = run.pills(*parts)
    build_yolo_dataset(
        manifest=run.manifest(*parts), prepared=run.prepared, dataset=tmp_path / "yolo", settings=Yolo(), seed=1
    )
    unpack_shards(tmp_path / "yolo", tmp_path / "unpacked")
    lines = sum(len(path.read_text().splitlines()) for path in (tmp_path / "unpacked/labels").rglob("*.txt"))
    assert lines == len(pills)
    cut(run, tmp_path / "crops", seen(pills, lambda boxes: boxes), manifest=run.manifest(*parts))
    crops = pd.concat(CropDataset(tmp_path / "crops", split).pills for split in parts)
    assert len(crops) == len(pills) - 3 and set(crops["k_code"]) == set(DRUGS)


def test_the_label_audit_names_their_drug(run: DataRun, tmp_path: Path) -> None:
    """Repaired labels come back as a source, in which the drug may be large enough."""
    parts = ("train", "val")
    pills = run.pills(*parts)
    write_table(seen(pills, lambda boxes: boxes + np.array([0, 0, -20, -20])), tmp_path / "seen.parquet", DETECTIONS)
    audit_labels(
        manifest=run.manifest(*parts),
        backgrounds=run.folder / "manifest/backgrounds.csv",
        detections=tmp_path / "seen.parquet",
        classes=run.folder / "manifest/classes.json",
        prepared=run.prepared,
        label_audit=tmp_path / "audit",
        settings=Audit(pictures=0),
        min_iou=0.9,
    )
    coco = read_json(tmp_path / "audit/coco.json")
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert list(names.values()) == [*DRUGS, UNLABELLED, FEW]
    labelled = [one["category_id"] for one in coco["annotations"] if one["attributes"]["source"] == "label"]
    shown = pills[pills["image_id"].isin(image["image_id"] for image in coco["images"])]
    assert sorted(names[number] for number in labelled) == sorted(shown["k_code"])


def result() -> PhotoResult:
    """Two pills, the second without a class; both are found and named the first drug."""
    boxes = np.array([[0, 0, 40, 40], [60, 0, 40, 40]], float)
    logits = np.array([[9, 0], [9, 0]], float)
    return PhotoResult(
        image_id="one",
        domain="combo",
        fully_labelled=True,
        width=100,
        height=100,
        boxes=boxes,
        targets=np.array([0, -1]),
        found_boxes=boxes,
        found_scores=np.array([0.9, 0.8]),
        answered=2,
        label_guesses=likeliest(logits),
        answer_logits=logits,
        answer_distances=np.zeros(2),
    )


def test_finding_it_counts_and_naming_it_does_not() -> None:
    results = [result()]
    assert detector_metrics(results)["pills"] == 2
    assert classifier_metrics(results) == {"top1": 1.0, "top5": 1.0, "macro_f1": 1.0, "pills": 1}
    assert confused_pairs(results) == []
    measured = pipeline_metrics(results, 0.5)
    assert (measured["combo_found"], measured["combo_correct"], measured["combo_extra_per_photo"]) == (1.0, 1.0, 0.0)
    assert answer_predictions(results, 0.5).targets.tolist() == [0, -1], "as a drug that the model does not know"
