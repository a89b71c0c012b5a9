"""The whole workflow for real, at a tiny size: once, again, and again with one thing changed."""

import json
import re

import pytest
from workflow import Workflow

from pillsnap.files import sha256_of

pytestmark = pytest.mark.slow

AFTER_YOLO = {
    "build_yolo_dataset",
    "train_detector",
    "detect_pills",
    "audit_labels",
    "cut_crops",
    "train_classifier",
    "export_onnx",
    "run_benchmark",
    "write_report",
}
AFTER_MANIFEST = AFTER_YOLO | {"write_dataset_page"}
AFTER_DETECTOR = AFTER_YOLO - {"build_yolo_dataset"}
AFTER_CROPS = {"train_classifier", "export_onnx", "run_benchmark", "write_report"}
DATA_RULES = {"index_archive", "plan_stage", "prepare_archive", "build_manifest"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workflow:
    """A copy in which everything was made with eight cores asked for."""
    workflow = Workflow.copy_to(tmp_path_factory.mktemp("finished") / "project")
    workflow.snakemake(cores=8)
    return workflow


def test_everything_is_made_and_nothing_is_left_half_written(finished) -> None:
    results = finished.folder / "results" / "stage4"
    made = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    expected = {
        "plan.parquet", "manifest/train.csv", "manifest/val.csv", "manifest/test.csv", "manifest/quarantine.csv",
        "manifest/classes.json", "manifest/summary.json", "yolo/data.yaml", "detector/best.pt", "detector/history.csv",
        "detector/detector.json", "detections.parquet", "label_audit/findings.csv",
        "label_audit/coco.json", "label_audit/summary.json", "crops/index.parquet", "crops/train.bin",
        "classifier/best.safetensors",
        "classifier/history.csv", "classifier/classifier.json", "onnx/detector.onnx", "onnx/classifier.onnx",
        "onnx/parity.json", "benchmark/accuracy.json", "benchmark/latency.json", "benchmark/resources.json",
        "metrics.json", "report.html", "dataset.html",
    }  # fmt: skip
    assert expected <= made
    assert not list(finished.folder.rglob("*.part"))
    for name in ("report.html", "dataset.html"):
        page = (results / name).read_text(encoding="utf-8")
        assert "synthetic" in page[page.index("<body") :][:3000].lower()
        assert not re.search(r"""(src|href)=["']?https?:""", page)


def test_metrics_have_the_agreed_keys(finished) -> None:
    metrics = json.loads((finished.folder / "results/stage4/metrics.json").read_text())

    def value(path: str):
        node = metrics
        for part in path.split("."):
            node = node[part]
        return node

    fractions = [
        "detector.map50", "detector.map50_95", "classifier.top1", "classifier.top5", "classifier.macro_f1",
        "classifier.single.top1", "classifier.combo.top1", "pipeline.combo_correct",
    ]  # fmt: skip
    for path in fractions:
        assert 0 <= value(path) <= 1, path
    for mode in ("single", "combo"):
        latency = value(f"latency.{mode}")
        assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
    assert value("data.classes") == 4
    assert value("environment.device").startswith(("CPU: ", "GPU: "))
    assert value("data.photos") > 50


def test_account_balances_and_planted_defects_are_listed(finished) -> None:
    summary = json.loads((finished.folder / "results/stage4/manifest/summary.json").read_text())
    for kind in ("photos", "labels"):
        account = summary[kind]
        left = sum(account["quarantined"].values()) + sum(account["skipped"].values())
        assert account["read"] == account["kept"] + left
    assert sum(summary["photos"]["quarantined"].values()) > 0


def test_every_job_has_a_log_and_a_measured_duration(finished) -> None:
    logs = {path.relative_to(finished.folder).with_suffix("") for path in (finished.folder / "logs").rglob("*.log")}
    times = {path.relative_to(finished.folder).with_suffix("") for path in (finished.folder / "logs").rglob("*.tsv")}
    assert logs == times and len(logs) > 12


def test_nothing_is_done_twice(finished) -> None:
    assert "Nothing to be done" in finished.snakemake()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ("stages.stage4.targets.top1=0.5", {"write_report"}),
        ("benchmark.warmup=2", {"export_onnx", "run_benchmark", "write_report"}),
        ("onnx.parity_photos=5", {"export_onnx", "run_benchmark", "write_report"}),
        ("classifier.epochs=3", AFTER_CROPS),
        ("crops.margin=0.2", {"cut_crops"} | AFTER_CROPS | {"run_benchmark"}),
        ("audit.pictures=1", {"audit_labels", "write_report"}),
        ("audit.min_score=0.7", {"audit_labels", "write_report"}),
        ("audit.lowest_score=0.06", AFTER_DETECTOR - {"train_detector"}),
        ("benchmark.min_score=0.4", {"cut_crops"} | AFTER_CROPS),
        ("crops.min_iou=0.6", {"cut_crops", "audit_labels"} | AFTER_CROPS),
        ("detector.epochs=2", AFTER_DETECTOR),
        ("yolo.max_single_photos=10", AFTER_YOLO),
        ('yolo.partly_labelled="use"', AFTER_YOLO),
        ("manifest.max_quarantined_fraction=0.4", {"build_manifest"} | AFTER_MANIFEST),
        ("prepare.photo_quality=80", {"prepare_archive", "build_manifest"} | AFTER_MANIFEST),
        ("plan.val_fraction=0.3", DATA_RULES - {"index_archive"} | AFTER_MANIFEST),
        ("seed=7", {"make_synthetic_archive"} | DATA_RULES | AFTER_MANIFEST),
    ],
)
def test_a_changed_value_reruns_just_what_depends_on_it(finished, change, rules) -> None:
    *path, last = change.split("=")[0].split(".")
    value: object = json.loads(change.split("=")[1])
    for key in (last, *reversed(path)):
        value = {key: value}
    overlay = finished.folder / "change.json"
    overlay.write_text(json.dumps(value))
    assert finished.planned("--configfile", "config.yaml", overlay.name) == rules


def test_a_forced_rule_runs_with_what_follows_and_nothing_before(finished) -> None:
    assert finished.planned("-R", "train_classifier") == AFTER_CROPS


def test_the_dataset_page_needs_the_manifest_only(finished) -> None:
    page = "results/stage4/dataset.html"
    assert finished.planned("-R", "write_dataset_page", target=page) == {"write_dataset_page"}
    assert finished.planned("--forceall", target=page) == {"make_synthetic_archive", *DATA_RULES, "write_dataset_page"}


def test_without_raw_archives_nothing_is_done_again(finished) -> None:
    raw = finished.folder / "data" / "raw"
    raw.rename(raw.with_name("elsewhere"))
    try:
        assert finished.planned() == set()
    finally:
        raw.with_name("elsewhere").rename(raw)


def test_an_edited_module_reruns_its_rules(finished) -> None:
    module = finished.folder / "pillsnap" / "latency.py"
    text = module.read_text()
    module.write_text(text + "\n# edited\n")
    try:
        assert finished.planned() == {"run_benchmark", "write_report"}
    finally:
        module.write_text(text)
    assert finished.planned() == set()


def test_one_core_makes_the_same_bytes(finished, tmp_path) -> None:
    other = Workflow.copy_to(tmp_path / "project")
    other.snakemake(cores=1, target="results/stage4/classifier/best.safetensors")
    same = [
        "index",
        "stage4/plan.parquet",
        "stage4/prepared",
        "stage4/manifest",
        "stage4/yolo",
        "stage4/detections.parquet",
    ]
    same += ["stage4/label_audit", "stage4/crops"]
    same += ["stage4/detector/best.pt", "stage4/classifier/best.safetensors"]
    differing = [
        name
        for name in same
        if sha256_of(other.folder / "results" / name) != sha256_of(finished.folder / "results" / name)
    ]
    assert not differing
