"""The report of a detector alone: its figures, nothing of a classifier, and a page that is whole."""

from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import write_json
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.report.contents import DETECTOR_SECTIONS
from pillsnap.report.write_detector_report import write_detector_report
from tests.report.test_browser import look_at
from tests.support.measured import model_bytes
from tests.support.models import draw_photo
from tests.support.report_inputs import COMMIT, DEVICE, VERSIONS, words_of, write_inputs

READ = (
    "stage", "plan_summary", "manifest_summary", "quarantine", "label_audit", "detector_history", "detector_events",
    "detector_resources", "detector_record", "durations", "config", "targets", "sources",
)  # fmt: skip


def part(**changes: Any) -> dict[str, Any]:
    curve = [{"recall": step / 100, "precision": 1 - step / 400} for step in range(101)]
    measured = {"map50": 0.9123, "map50_95": 0.7012, "photos": 48, "pills": 131, "pr_curve": curve}
    point = {"precision": 0.9504, "recall": 0.8934, "f1": 0.921, "extra_per_photo": 0.13}
    return measured | point | changes


def write(folder: Path, **parts: dict[str, Any]) -> str:
    given = write_inputs(folder, width=480)
    (folder / "evaluation/samples").mkdir(parents=True)
    samples = [
        {"file": f"samples/{n:02d}.jpg", "image_id": f"TS_1.{n}", "pills": 3, "found": 3 - n % 2, "boxes": 3}
        for n in range(4)
    ]
    for number, sample in enumerate(samples):
        picture, _ = draw_photo([0, 1, 2], seed=number, width=240, height=320)
        (folder / "evaluation" / sample["file"]).write_bytes(encode_jpeg(picture, 80))
    resources = {"device": DEVICE, "threads": 2, "memory_total_bytes": 2**34, "peak_memory_bytes": 2**30}
    resources |= {"model_bytes": model_bytes(), "versions": VERSIONS, "commit": COMMIT}
    facts = {"score": 0.35, "min_iou": 0.5, "parts": {"val": part(), "test": part()} | parts, "samples": samples}
    write_json(folder / "evaluation/evaluation.json", facts | {"resources": resources})
    report = folder / "detector_report.html"
    write_detector_report(
        **{name: given[name] for name in READ}, evaluation=folder / "evaluation", detector_report=report
    )
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    backgrounds = {"photos": 9, "with_boxes": 2, "boxes": 3}
    return write(tmp_path_factory.mktemp("report"), test=part(map50=0.8765, backgrounds=backgrounds))


def test_what_it_says(page: str) -> None:
    words = words_of(page)
    for said in (
        "Stage 4 meets both its targets: detector mAP@0.5 87.65 % (target ≥ 85 %) and",
        "mAP@0.5 91.23 % 87.65 %",
        "Recall: pills found 89.34 % 89.34 %",
        "Backgrounds with a box 0 2",
        "the boxes of score 0.35 and above, that of the best F1 on validation",
        "3 of 3 pills found, 3 detections",
        "2 of 3 pills found, 3 detections",
    ):
        assert said in words, said
    assert "The stage has one class" not in words
    for absent in ("Classifier", "top-1"):
        assert absent not in words[: words.index("Provenance Code, seed")], absent
    for section in DETECTOR_SECTIONS:
        assert f'<section id="{section.__module__.rpartition(".")[2]}">' in page


def test_without_any_detection(tmp_path: Path) -> None:
    nothing = part(map50=0.0, map50_95=0.0, pr_curve=[], precision=None, recall=0.0)
    assert "Precision – –" in words_of(write(tmp_path, val=nothing, test=nothing))


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_is_whole(page: str, browser: str, tmp_path: Path, width: int) -> None:
    measured, console = look_at(page, width, browser, tmp_path)
    assert (measured["width"], measured["beyond"], measured["requests"], console) == (width, [], [], [])
    assert measured["scrollWidth"] <= width
    assert measured["pictures"] > 4 and measured["broken"] == 0 and measured["enlarged"]
    assert len(measured["charts"]) >= 4
